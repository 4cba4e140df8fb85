import { readSaved } from "@routeplane/standalone/saved-files";
import type { Command } from "commander";
import { contextArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import type { Settings } from "../config.ts";
import {
  HOME_CONTEXT,
  listContexts,
  type NamedResource,
  readCurrentContext,
  removeContext,
  type SavedContext,
  writeCurrentContext,
} from "../contexts/context-store.ts";
import { precedingSetting, requireContext, selectedContext } from "../contexts/selected-context.ts";
import { usageError } from "../errors.ts";
import { confirmLoss } from "../input.ts";
import { nodeUrl } from "../session.ts";
import { CONTEXT_COLUMNS, type ContextView } from "../views/context.ts";
import { pagesOf, showPages } from "../views/list.ts";
import { withExamples } from "./examples.ts";

export function addContextCommands(group: Command, context: Context): void {
  withExamples(
    group,
    "cloud login --name staging",
    "cloud context use staging",
    "cloud keys list --context production",
  );
  group.addHelpText(
    "after",
    "\nA context is a login with a name, made by `cloud login --name`. The login in the home is the context `home`.\n" +
      "--context and ROUTEPLANE_CONTEXT choose one for a command; ROUTEPLANE_API_KEY and ROUTEPLANE_URL take precedence.",
  );

  const list = group
    .command("list")
    .description("List logins, the one in use marked")
    .action(() => showContexts(context));
  withExamples(list, "cloud context list", "cloud context list --json");

  const use = group
    .command("use")
    .description("Switch to another login from now on")
    .argument("<context>", "Name of the context, or home", contextArgument)
    .action((name: string) => useContext(context, name));
  withExamples(use, "cloud context use staging", "cloud context use home");

  const remove = group
    .command("delete")
    .description("Delete a login; its key stays valid until revoked")
    .argument("<context>", "Name of the context", contextArgument)
    .option("-y, --yes", "Skip the confirmation")
    .action((name: string, { yes = false }: { yes?: boolean }) => deleteContext(context, name, yes));
  withExamples(remove, "cloud context delete staging --yes");
}

/** Switches to a context, and shows it. */
export async function switchContext(
  context: Context,
  name: string,
  url: string,
  namespace: NamedResource | undefined,
): Promise<void> {
  await writeCurrentContext(context.settings, name);
  context.output.data({ name, url, namespace: namespace ?? null }, () =>
    [name, url, ...(namespace === undefined ? [] : [`${namespace.name} (${namespace.id})`])].join(" "),
  );
  const preceding = precedingSetting(context.settings);
  if (preceding !== undefined) context.output.note(preceding);
}

async function showContexts(context: Context): Promise<void> {
  const { settings } = context;
  const selected = (await selectedContext(settings))?.name ?? HOME_CONTEXT;
  const views = (await listContexts(settings)).map((saved) => toView(saved, selected));
  const rows = [await homeView(settings, selected), ...views];
  const pages = pagesOf(
    () => Promise.resolve({ rows, nextPageToken: "" }),
    (view) => view,
  );
  await showPages(context, pages, CONTEXT_COLUMNS, "There are no contexts.", "Sign in: routeplane cloud login");
  if (settings.apiKey !== undefined)
    context.output.note("ROUTEPLANE_API_KEY is set and takes precedence over all of them.");
}

function toView({ name, url, apiKey, namespace }: SavedContext, selected: string): ContextView {
  return { name, url, namespace: namespace ?? null, signed_in: apiKey !== undefined, current: name === selected };
}

async function homeView(settings: Settings, selected: string): Promise<ContextView> {
  const home = { ...settings, context: HOME_CONTEXT, url: undefined };
  const key = await readSaved(settings.home, "api-key").catch(() => undefined);
  return {
    name: HOME_CONTEXT,
    url: await nodeUrl(home),
    namespace: null,
    signed_in: key !== undefined,
    current: selected === HOME_CONTEXT,
  };
}

async function useContext(context: Context, name: string): Promise<void> {
  const { settings } = context;
  if (name === HOME_CONTEXT) {
    const url = await nodeUrl({ ...settings, context: HOME_CONTEXT, url: undefined });
    return switchContext(context, name, url, undefined);
  }
  const { url, namespace } = await requireContext(settings, name);
  return switchContext(context, name, url, namespace);
}

async function deleteContext(context: Context, name: string, yes: boolean): Promise<void> {
  const { settings, output } = context;
  if (name === HOME_CONTEXT) {
    throw usageError(
      `the context home is the login in ${settings.home}`,
      "`routeplane cloud logout --context home` removes its key.",
    );
  }
  const { url, namespace } = await requireContext(settings, name);
  if (!yes) {
    await confirmLoss(
      context,
      `Delete the login ${name}? Its key is kept nowhere else.`,
      `this deletes the login ${name}.`,
    );
  }
  const isCurrent = (await readCurrentContext(settings)) === name;
  if (isCurrent) await writeCurrentContext(settings, HOME_CONTEXT);
  await removeContext(settings, name);
  output.data({ name, url, namespace: namespace ?? null }, () => "");
  output.note(isCurrent ? "Deleted. The login in use is now home." : "Deleted.");
}
