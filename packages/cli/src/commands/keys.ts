import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { idArgument, nameArgument, scopesArgument, timeArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { confirm } from "../input.ts";
import { block } from "../output/table.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import { fromProtoKey, KEY_COLUMNS, keyFields } from "../views/key.ts";
import { allPages, showList } from "../views/list.ts";
import { fromProtoSet } from "../views/values.ts";
import { withExamples } from "./examples.ts";

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
    .action(() => listKeys(context));
  withExamples(list, "cloud keys list", "cloud keys list --json");

  const get = keys
    .command("get")
    .description("one key; never its token")
    .argument("<id>", "key_…", idArgument)
    .action((id: string) => getKey(context, id));
  withExamples(get, "cloud keys get key_01jxyz…");

  const revoke = keys
    .command("revoke")
    .description("revoke a key and, at once, every key below it; there is no way back")
    .argument("<id>", "key_…", idArgument)
    .option("--yes", "do not ask, on a terminal either")
    .action((id: string, { yes }: { yes?: boolean }) => revokeKey(context, id, yes ?? false));
  withExamples(revoke, "cloud keys revoke key_01jxyz…");
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
  const view = fromProtoKey(fromProtoSet(key));
  const shown = keyFields(view).filter(([field]) => ["id", "name", "scopes", "expires"].includes(field));
  context.output.data({ ...view, token }, () => block([...shown, ["token", token]]));
  context.output.note("The token is shown once and kept nowhere: save it now.");
}

async function listKeys(context: Context): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  const list = await allPages(async (page) => {
    const { keys: rows, nextPageToken } = await keys.listKeys(page);
    return { rows, nextPageToken };
  }, fromProtoKey);
  showList(context, list, KEY_COLUMNS, "There are no keys.");
}

async function getKey(context: Context, id: string): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  const view = fromProtoKey(fromProtoSet((await keys.getKey({ id })).key));
  context.output.data(view, () => block(keyFields(view)));
}

async function revokeKey(context: Context, id: string, yes: boolean): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  if (!yes && !(await confirm(context, `Revoke ${id} and every key below it, for good?`))) {
    throw new CliError(ExitCode.failed, "aborted", "NOT_CONFIRMED", "nothing was revoked");
  }
  const view = fromProtoKey(fromProtoSet((await keys.revokeKey({ id })).key));
  context.output.data(view, () => block(keyFields(view)));
  context.output.note("Revoked, with every key below it.");
}
