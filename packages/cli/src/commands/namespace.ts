import type { Command } from "commander";
import { namespaceNameArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { anyCredential, loginCredential, operatorCredential } from "../session.ts";
import { fromProtoIdentity } from "../views/identity.ts";
import { allPages } from "../views/list.ts";
import { fromProtoNamespace, namespaceLine } from "../views/namespace.ts";
import { fromProtoSet } from "../views/values.ts";
import { withExamples } from "./examples.ts";

export function addNamespaceCommands(cloud: Command, context: Context): void {
  const namespace = cloud
    .command("namespace")
    .description("the isolation primitive: keys, policies and usage live in one");
  withExamples(namespace, "cloud namespace list", "cloud namespace create staging");

  const list = namespace
    .command("list")
    .description("all namespaces of the account; the active one is marked")
    .action(() => listNamespaces(context));
  withExamples(list, "cloud namespace list", "cloud namespace list --json");

  const current = namespace
    .command("current")
    .description("the namespace that the credential in use is bound to")
    .action(() => showCurrent(context));
  withExamples(current, "cloud namespace current");

  const create = namespace
    .command("create")
    .description("create a namespace (operator only)")
    .argument("<name>", "1 to 63 lower-case letters, digits or hyphens, starting with a letter", namespaceNameArgument)
    .action((name: string) => createNamespace(context, name));
  withExamples(
    create,
    "cloud namespace create staging",
    'cloud keys mint --namespace staging --name ci --scope "inference:invoke"',
  );
}

async function listNamespaces(context: Context): Promise<void> {
  const { namespaces } = await context.connect(await anyCredential(context.settings));
  const list = await allPages(async (page) => {
    const { namespaces: rows, nextPageToken } = await namespaces.listNamespaces(page);
    return { rows, nextPageToken };
  }, fromProtoNamespace);
  context.output.data(list, () => list.data.map(namespaceLine).join("\n"));
}

async function showCurrent(context: Context): Promise<void> {
  const { identity } = await context.connect(await loginCredential(context.settings));
  const { namespace } = fromProtoIdentity(await identity.whoAmI({}));
  if (namespace === null) {
    throw new CliError(
      ExitCode.failed,
      "failed_precondition",
      "NAMESPACE_NONE",
      "an operator credential is bound to no namespace",
      { hint: "`routeplane cloud namespace list` shows all of them." },
    );
  }
  context.output.data(namespace, () => namespaceLine({ ...namespace, active: false }));
}

async function createNamespace(context: Context, name: string): Promise<void> {
  const { namespaces } = await context.connect(await operatorCredential(context.settings));
  const { namespace } = await namespaces.createNamespace({ name });
  const view = fromProtoNamespace(fromProtoSet(namespace));
  context.output.data(view, () => namespaceLine(view));
  context.output.note(
    `Mint a key for it: routeplane cloud keys mint --namespace ${name} --name <name> --scope <scopes>`,
  );
}
