import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import type { Namespace } from "@routeplane/contracts/auth";
import { idArgument, NAMESPACE_NAME, namespaceArgument, namespaceNameArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { confirmLoss } from "../input.ts";
import { naming, resolveDeletedNamespace } from "../resolve-name.ts";
import { findLogin, loginCredential, operatorCredential, operatorOrLoginCredential } from "../session.ts";
import { fromProtoIdentity } from "../views/identity.ts";
import { allPages, showListAs } from "../views/list.ts";
import { fromProtoNamespace, NAMESPACE_COLUMNS, namespaceLine, type NamespaceView } from "../views/namespace.ts";
import { requirePresent } from "../views/values.ts";
import { useNamespace } from "./use-namespace.ts";
import { withExamples } from "./examples.ts";

interface ListOptions {
  readonly deleted?: boolean;
  readonly account?: string;
}

export function addNamespaceCommands(namespace: Command, context: Context): void {
  withExamples(namespace, "cloud namespace list", "cloud namespace create staging");

  const list = namespace
    .command("list")
    .description("List namespaces, the active one marked")
    .option("--deleted", "Include deleted namespaces that can be restored")
    .option("--account <name|id>", "Name or id of the account that owns them", idArgument)
    .action((options: ListOptions) => listNamespaces(context, options));
  withExamples(list, "cloud namespace list", "cloud namespace list --account team-a", "cloud namespace list --json");

  const current = namespace
    .command("current")
    .description("Show the namespace of the credential in use")
    .action(() => showCurrent(context));
  withExamples(current, "cloud namespace current");

  const create = namespace
    .command("create")
    .description("Create a namespace (operator only)")
    .argument("<name>", NAMESPACE_NAME, namespaceNameArgument)
    .option("--account <name|id>", "Account that owns it; needed if there are several", idArgument)
    .action((name: string, { account = "" }: { account?: string }) => createNamespace(context, name, account));
  withExamples(
    create,
    "cloud namespace create staging",
    "cloud namespace create staging --account team-a",
    'cloud keys mint --namespace staging --name ci --scope "inference:invoke"',
  );

  const get = namespace
    .command("get")
    .description("Show a namespace")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .action((nameOrId: string) => getNamespace(context, nameOrId));
  withExamples(get, "cloud namespace get staging");

  const use = namespace
    .command("use")
    .description("Switch to the login of a namespace")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .addHelpText(
      "after",
      "\nA key belongs to one namespace permanently. This switches contexts, see `cloud context`, and mints no key.",
    )
    .action((nameOrId: string) => useNamespace(context, nameOrId));
  withExamples(use, "cloud namespace use staging");

  addLifecycle(namespace, context);
}

/** Adds the commands by which an operator changes a namespace. */
function addLifecycle(namespace: Command, context: Context): void {
  const rename = namespace
    .command("rename")
    .description("Rename a namespace; id, keys and usage stay (operator only)")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .argument("<new-name>", NAMESPACE_NAME, namespaceNameArgument)
    .action((nameOrId: string, name: string) =>
      change(context, nameOrId, ({ namespaces }) => namespaces.renameNamespace({ namespace: nameOrId, name })),
    );
  withExamples(rename, "cloud namespace rename staging pre-production");

  const suspend = namespace
    .command("suspend")
    .description("Suspend a namespace: refuse all its keys (operator only)")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .action((nameOrId: string) =>
      change(context, nameOrId, ({ namespaces }) => namespaces.suspendNamespace({ namespace: nameOrId })),
    );
  withExamples(suspend, "cloud namespace suspend staging");

  const resume = namespace
    .command("resume")
    .description("Resume a suspended namespace (operator only)")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .action((nameOrId: string) =>
      change(context, nameOrId, ({ namespaces }) => namespaces.resumeNamespace({ namespace: nameOrId })),
    );
  withExamples(resume, "cloud namespace resume staging");

  const remove = namespace
    .command("delete")
    .description("Delete a namespace: refuse all its keys (operator only)")
    .argument("<name|id>", "Name or id (ns_…)", namespaceArgument)
    .option("-y, --yes", "Skip the confirmation")
    .addHelpText("after", "\nIt can be restored for 30 days.")
    .action(async (nameOrId: string, { yes = false }: { yes?: boolean }) => {
      const loss = `this deletes the namespace ${nameOrId}: all its keys stop working.`;
      if (!yes) await confirmLoss(context, `Delete the namespace ${nameOrId}? All its keys stop working.`, loss);
      await change(context, nameOrId, ({ namespaces }) => namespaces.deleteNamespace({ namespace: nameOrId }));
    });
  withExamples(remove, "cloud namespace delete staging", "cloud namespace delete staging --yes");

  const restore = namespace
    .command("restore")
    .description("Restore a deleted namespace as it was (operator only)")
    .argument("<name|id>", "Name or id (ns_…), as `namespace list --deleted` shows it", idArgument)
    .action((nameOrId: string) =>
      change(context, nameOrId, async (client) => {
        const namespace = await resolveDeletedNamespace(client, nameOrId);
        return client.namespaces.restoreNamespace({ namespace });
      }),
    );
  withExamples(restore, "cloud namespace restore staging", "cloud namespace restore ns_01jxyz…");
}

async function listNamespaces(context: Context, { deleted = false, account = "" }: ListOptions): Promise<void> {
  const request = { account, showDeleted: deleted };
  const visible = await callAsOperatorOrLogin(context, ({ namespaces }) =>
    allPages(async (page) => {
      const { namespaces: rows, nextPageToken } = await naming(
        "account",
        account,
        namespaces.listNamespaces({ ...page, ...request }),
      );
      return { rows, nextPageToken };
    }, fromProtoNamespace),
  );
  const list = { ...visible, data: await withActive(context, visible.data) };
  const isMixed = new Set(list.data.map(({ account_id }) => account_id)).size > 1;
  const { format } = context.output;
  if (format === "table") context.output.data(list, () => lines(list.data, isMixed));
  else showListAs(context, list, list.data, NAMESPACE_COLUMNS, "There are no namespaces.");
}

function lines(namespaces: readonly NamespaceView[], isMixed: boolean): string {
  return namespaces.map((namespace) => namespaceLine(namespace, isMixed)).join("\n");
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
  context.output.data(namespace, () => namespaceLine(namespace));
}

async function createNamespace(context: Context, name: string, account: string): Promise<void> {
  const { namespaces } = await context.connect(await operatorCredential(context.settings));
  const { namespace } = await naming("account", account, namespaces.createNamespace({ name, account }));
  const view = fromProtoNamespace(requirePresent(namespace));
  context.output.data(view, () => namespaceLine(view));
  context.output.note(
    `Mint a key for it: routeplane cloud keys mint --namespace ${account === "" ? name : view.id} --name <name> --scope <scopes>`,
  );
}

async function getNamespace(context: Context, nameOrId: string): Promise<void> {
  const { namespace } = await callAsOperatorOrLogin(context, ({ namespaces }) =>
    naming("namespace", nameOrId, namespaces.getNamespace({ namespace: nameOrId })),
  );
  for (const view of await withActive(context, [fromProtoNamespace(requirePresent(namespace))])) {
    context.output.data(view, () => namespaceLine(view));
  }
}

/**
 * Calls with the operator credential, which sees every namespace; without one, with the login. If the node refuses the saved operator
 * credential, which then belongs to another node, calls with the login and prints a note.
 */
async function callAsOperatorOrLogin<T>(context: Context, call: (clients: NodeClient) => Promise<T>): Promise<T> {
  const credential = await operatorOrLoginCredential(context.settings);
  try {
    return await call(await context.connect(credential));
  } catch (error) {
    const isRefused = error instanceof ConnectError && error.code === Code.Unauthenticated;
    const login = isRefused && credential.source === "saved" ? await findLogin(context.settings) : undefined;
    if (login === undefined || login.token === credential.token) throw error;
    context.output.note(
      "The saved operator credential is not valid on this node: showing only what your login can see.",
    );
    return call(await context.connect(login));
  }
}

/**
 * Marks the namespace of the login as active. The response to an operator credential does not, because that credential is bound to
 * no namespace. Marks none without a login, or if the node refuses the login.
 */
async function withActive(context: Context, views: readonly NamespaceView[]): Promise<readonly NamespaceView[]> {
  const login = views.some(({ active }) => active) ? undefined : await findLogin(context.settings);
  if (login === undefined || login.token.startsWith("rpo_")) return views;
  const { identity } = await context.connect(login);
  const bound = await identity.whoAmI({}).then(
    (response) => fromProtoIdentity(response).namespace?.id,
    () => undefined,
  );
  return views.map((view) => ({ ...view, active: view.id === bound }));
}

/** Changes a namespace with the operator credential, and shows it. */
async function change(
  context: Context,
  nameOrId: string,
  call: (clients: NodeClient) => Promise<{ readonly namespace?: Namespace | undefined }>,
): Promise<void> {
  const clients = await context.connect(await operatorCredential(context.settings));
  show(context, (await naming("namespace", nameOrId, call(clients))).namespace);
}

function show(context: Context, namespace: Namespace | undefined): void {
  const view = fromProtoNamespace(requirePresent(namespace));
  context.output.data(view, () => namespaceLine(view));
}
