import { type Command, Option } from "commander";
import { limitArgument, nameArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { block } from "../output/table.ts";
import { loginCredential } from "../session.ts";
import { BUDGET_WINDOWS, fromProtoPolicy, policyFields } from "../views/policy.ts";
import { fromProtoSet } from "../views/values.ts";
import { withExamples } from "./examples.ts";

interface CreateOptions {
  readonly name: string;
  readonly window: keyof typeof BUDGET_WINDOWS;
  readonly limitMicroUsd: bigint;
}

export function addBudgetCommands(cloud: Command, context: Context): void {
  const budget = cloud.command("budget").description("budgets: policies that limit spend within a rolling window");
  const create = budget
    .command("create")
    .description("create a budget; it limits nothing until it is bound")
    .requiredOption("--name <name>", "unique in the namespace", nameArgument)
    .addOption(
      new Option("--window <window>", "rolling: 60 minutes, 24 hours, 7 days, 30 days, or for ever")
        .choices(Object.keys(BUDGET_WINDOWS))
        .makeOptionMandatory(),
    )
    .requiredOption("--limit-micro-usd <number>", "the limit; 5000000 is 5 USD", limitArgument)
    .action((options: CreateOptions) => createBudget(context, options));
  for (const command of [budget, create]) {
    withExamples(
      command,
      "cloud budget create --name daily-cap --window day --limit-micro-usd 5000000",
      "cloud policy bind <policy-id> --principal-type api_key --principal-id <key-id>",
    );
  }
}

async function createBudget(context: Context, { name, window, limitMicroUsd }: CreateOptions): Promise<void> {
  const { policies } = await context.connect(await loginCredential(context.settings));
  const budget = { window: BUDGET_WINDOWS[window], limitMicroUsd };
  const { policy } = await policies.createPolicy({ name, spec: { kind: { case: "budget", value: budget } } });
  const view = fromProtoPolicy(fromProtoSet(policy));
  context.output.data(view, () => block(policyFields(view)));
  context.output.note(
    `It limits nothing until it is bound: routeplane cloud policy bind ${view.id} --principal-type api_key --principal-id <key-id>`,
  );
}
