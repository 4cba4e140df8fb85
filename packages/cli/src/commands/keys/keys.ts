import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Key } from "@routeplane/contracts/auth";
import { type Command, Option } from "commander";
import {
  idArgument,
  keyArgument,
  nameArgument,
  namespaceArgument,
  rowsArgument,
  scopesArgument,
} from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { startProgress } from "../../output/progress.ts";
import { addOrderOptions, orderOf, type RowOrder } from "../../output/row-order.ts";
import { block, table } from "../../output/table.ts";
import { naming, resolveKey } from "../../resolve-name.ts";
import { loginCredential, operatorCredential } from "../../session.ts";
import { fromProtoKey, KEY_COLUMNS, keyFields } from "../../views/keys/key.ts";
import { KEY_TREE_COLUMNS, keyTree } from "../../views/keys/key-tree.ts";
import { allPages, pagesOf, type ReadPage, showListAs, showPages } from "../../views/list.ts";
import { requirePresent } from "../../views/values.ts";
import { expiryArgument } from "../../written-time.ts";
import { withExamples } from "../examples.ts";
import { addKeyLifecycleCommands } from "./lifecycle.ts";
import { WINDOW_HELP } from "../budget-window.ts";
import { addLimitOptions, type LimitOptions, toProtoExpiry, toProtoLimits } from "./limit-options.ts";

interface MintOptions extends LimitOptions {
  readonly name: string;
  readonly scope: readonly string[];
  readonly expiresAt?: Date;
  readonly namespace?: string;
}

interface ListOptions extends RowOrder {
  readonly tree?: boolean;
  readonly limit?: number;
  readonly pageToken?: string;
}

export function addKeyCommands(keys: Command, context: Context): void {
  withExamples(keys, 'cloud keys mint --name my-agent --scope "inference:invoke"', "cloud keys list");

  addMint(keys, context);

  const list = keys
    .command("list")
    .description("List all keys of the namespace, oldest first")
    .addOption(new Option("--tree", "Show sub-keys below the key that minted them").conflicts(["limit", "pageToken"]))
    .option("--limit <number>", "Keys to list (default: all)", rowsArgument)
    .option("--page-token <token>", "Token of the page, from next_page_token", idArgument)
    .addHelpText("after", "\nRevoked and expired keys are included.")
    .action((options: ListOptions) => listKeys(context, options));
  addOrderOptions(list, "keys");
  withExamples(
    list,
    "cloud keys list",
    "cloud keys list --tree",
    "cloud keys list --sort -last_used_at --top 10",
    "cloud keys list --json",
  );

  const get = keys
    .command("get")
    .description("Show a key, without its token")
    .argument("<name|id>", "Name or id of the key (key_…)", keyArgument)
    .action((nameOrId: string) => getKey(context, nameOrId));
  withExamples(get, "cloud keys get my-agent", "cloud keys get key_01jxyz…");

  addKeyLifecycleCommands(keys, context);
}

function addMint(keys: Command, context: Context): void {
  const mint = keys
    .command("mint")
    .description("Mint a sub-key of the key in use; its token is shown once")
    .requiredOption("--name <name>", "Name for people; need not be unique", nameArgument)
    .requiredOption("--scope <scopes>", "Scopes, at most yours, separated by blanks or commas", scopesArgument)
    .addOption(
      new Option("--expires-at <time>", "Expiry, e.g. 30d, 2027-01-01; not after the parent's")
        .argParser(expiryArgument)
        .conflicts("expiresIn"),
    )
    .option("-n, --namespace <name|id>", "Namespace of a new root key (operator only)", namespaceArgument);
  addLimitOptions(mint).action((options: MintOptions) => mintKey(context, options));
  mint.addHelpText(
    "after",
    "\nScopes: inference:invoke keys:read keys:write policy:read policy:write usage:read namespace:read audit:read, or resource:*\n" +
      "Limits apply from the first request on to the key and all keys below it, in addition to those of the keys above it. They\n" +
      "are stored in a preset, which is removed once the key has expired or was revoked.\n" +
      WINDOW_HELP,
  );
  withExamples(
    mint,
    'cloud keys mint --name my-agent --scope "inference:invoke keys:read policy:read usage:read"',
    "cloud keys mint --name agent --scope inference:invoke --limit-usd 5 --expires-in 1h --max-requests 60/1m --models 'gpt-*'",
    'cloud keys mint --name ci --scope "inference:*" --expires-at 2027-01-01T00:00:00Z',
    'cloud keys mint --namespace staging --name root --scope "inference:* keys:* policy:* usage:* namespace:*"',
  );
}

async function mintKey(
  context: Context,
  { name, scope, expiresAt, namespace, ...limited }: MintOptions,
): Promise<void> {
  const expiry = expiresAt === undefined ? toProtoExpiry(limited, Date.now()) : timestampFromDate(expiresAt);
  const limits = toProtoLimits(limited);
  const request = {
    name,
    scopes: [...scope],
    ...(expiry !== undefined && { expiresAt: expiry }),
    ...(limits !== undefined && { limits }),
  };
  const credential = namespace === undefined ? loginCredential : operatorCredential;
  const { keys } = await context.connect(await credential(context.settings));
  const { key, token, limitsPolicyId } =
    namespace === undefined
      ? await keys.mintKey(request)
      : await naming("namespace", namespace, keys.mintRootKey({ ...request, namespace }));
  const view = fromProtoKey(requirePresent(key));
  const shown = keyFields(view).filter(([field]) => ["id", "name", "scopes", "expires"].includes(field));
  const limitRows = limitsPolicyId === "" ? [] : [["limits", limitsPolicyId] as const];
  const data = { ...view, token, limits_policy_id: limitsPolicyId || null };
  context.output.data(data, () => block([...shown, ...limitRows, ["token", token]]));
  context.output.note("The token is shown once and not stored: save it now.");
}

async function listKeys(context: Context, { tree = false, ...range }: ListOptions): Promise<void> {
  const isOrdered = (range.sort ?? range.top) !== undefined;
  if (isOrdered && (tree || (range.limit ?? range.pageToken) !== undefined))
    throw usageError("--sort and --top order all keys: they cannot be combined with --tree, --limit or --page-token");
  const ordered = orderOf(KEY_COLUMNS, range);
  const { keys } = await context.connect(await loginCredential(context.settings));
  const read: ReadPage<Key> = async (page) => {
    const { keys: rows, nextPageToken } = await keys.listKeys(page);
    return { rows, nextPageToken };
  };
  const none = "There are no keys.";
  const next = "Mint one: routeplane cloud keys mint --name <name> --scope <scopes>";
  const { output } = context;
  if (isOrdered) {
    const all = await allPages(read, fromProtoKey, startProgress(context, "keys", true));
    const list = { ...all, data: ordered(all.data) };
    showListAs(context, list, list.data, KEY_COLUMNS, none, next);
    return;
  }
  // Programs get the same list as without --tree: they build the tree from `parent_id`.
  if (!tree || !["table", "wide"].includes(output.format)) {
    const following = await showPages(context, pagesOf(read, fromProtoKey, range), KEY_COLUMNS, none, next);
    if (following !== "") output.note(`For more keys, add --page-token ${following}`);
    return;
  }
  const { data } = await allPages(read, fromProtoKey, startProgress(context, "keys", true));
  if (data.length === 0) output.note(none);
  else output.data(data, (style) => table(KEY_TREE_COLUMNS, keyTree(data, Date.now()), style));
}

async function getKey(context: Context, nameOrId: string): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolveKey(client, nameOrId);
  const view = fromProtoKey(requirePresent((await client.keys.getKey({ id })).key));
  context.output.data(view, () => block(keyFields(view)));
}
