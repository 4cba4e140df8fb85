import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { idArgument, nameArgument, scopesArgument, timeArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { block } from "../../output/table.ts";
import { loginCredential, operatorCredential } from "../../session.ts";
import { fromProtoKey, KEY_COLUMNS, keyFields } from "../../views/keys/key.ts";
import { KEY_TREE_COLUMNS, keyTree } from "../../views/keys/key-tree.ts";
import { allPages, showList, showListAs } from "../../views/list.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import { addKeyChangeCommands } from "./lifecycle.ts";

interface MintOptions {
  readonly name: string;
  readonly scope: readonly string[];
  readonly expiresAt?: Date;
  readonly namespace?: string;
}

export function addKeyCommands(cloud: Command, context: Context): void {
  const keys = cloud.command("keys").description("API keys of the namespace: who may call");
  withExamples(keys, 'cloud keys mint --name my-agent --scope "inference:invoke"', "cloud keys list");

  addMint(keys, context);

  const list = keys
    .command("list")
    .description("all keys of the namespace, revoked and expired ones included, oldest first")
    .option("--tree", "show which key was minted by which: parents first, and what hangs below them")
    .action(({ tree = false }: { tree?: boolean }) => listKeys(context, tree));
  withExamples(list, "cloud keys list", "cloud keys list --tree", "cloud keys list --json");

  const get = keys
    .command("get")
    .description("one key; never its token")
    .argument("<id>", "key_…", idArgument)
    .action((id: string) => getKey(context, id));
  withExamples(get, "cloud keys get key_01jxyz…");

  addKeyChangeCommands(keys, context);
}

function addMint(keys: Command, context: Context): void {
  const mint = keys
    .command("mint")
    .description("mint a sub-key of the key in use, in its namespace; its token is shown once")
    .requiredOption("--name <name>", "for people; need not be unique", nameArgument)
    .requiredOption(
      "--scope <scopes>",
      "what it may do, at most what you may; several by blank or comma",
      scopesArgument,
    )
    .option("--expires-at <time>", "when it stops working, RFC 3339 with an offset; at most its parent's", timeArgument)
    .option("--namespace <name|id>", "mint a root key in this namespace instead (operator only)", idArgument)
    .action((options: MintOptions) => mintKey(context, options));
  mint.addHelpText(
    "after",
    "\nScopes: inference:invoke keys:read keys:write policy:read policy:write usage:read namespace:read, or resource:*",
  );
  withExamples(
    mint,
    'cloud keys mint --name my-agent --scope "inference:invoke keys:read policy:read usage:read"',
    'cloud keys mint --name ci --scope "inference:*" --expires-at 2027-01-01T00:00:00Z',
    'cloud keys mint --namespace staging --name root --scope "inference:* keys:* policy:* usage:* namespace:*"',
  );
}

async function mintKey(context: Context, { name, scope, expiresAt, namespace }: MintOptions): Promise<void> {
  const request = {
    name,
    scopes: [...scope],
    ...(expiresAt === undefined ? {} : { expiresAt: timestampFromDate(expiresAt) }),
  };
  const credential = namespace === undefined ? loginCredential : operatorCredential;
  const { keys } = await context.connect(await credential(context.settings));
  const { key, token } =
    namespace === undefined ? await keys.mintKey(request) : await keys.mintRootKey({ ...request, namespace });
  const view = fromProtoKey(requirePresent(key));
  const shown = keyFields(view).filter(([field]) => ["id", "name", "scopes", "expires"].includes(field));
  context.output.data({ ...view, token }, () => block([...shown, ["token", token]]));
  context.output.note("The token is shown once and kept nowhere: save it now.");
}

async function listKeys(context: Context, tree: boolean): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  const list = await allPages(async (page) => {
    const { keys: rows, nextPageToken } = await keys.listKeys(page);
    return { rows, nextPageToken };
  }, fromProtoKey);
  const none = "There are no keys.";
  if (tree) showListAs(context, list, keyTree(list.data, Date.now()), KEY_TREE_COLUMNS, none);
  else showList(context, list, KEY_COLUMNS, none);
}

async function getKey(context: Context, id: string): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  const view = fromProtoKey(requirePresent((await keys.getKey({ id })).key));
  context.output.data(view, () => block(keyFields(view)));
}
