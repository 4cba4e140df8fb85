import type { Command } from "commander";
import type { Context } from "../context.ts";
import { readServedModels } from "../served-models.ts";
import { loginCredential } from "../session.ts";
import { showListAs } from "../views/list.ts";
import { fromServedModel, MODEL_COLUMNS } from "../views/model.ts";
import { withExamples } from "./examples.ts";

export function defineModels(models: Command, context: Context): void {
  models
    .addHelpText("after", "\nShows what the guardrails of the key allow. Needs the scope inference:invoke.")
    .action(() => listModels(context));
  withExamples(models, "cloud models", "cloud models --json");
}

async function listModels(context: Context): Promise<void> {
  const { token } = await loginCredential(context.settings);
  const data = (await readServedModels(await context.url(), token)).map(fromServedModel);
  showListAs(context, { data, next_page_token: null }, data, MODEL_COLUMNS, "The key may call no model.");
}
