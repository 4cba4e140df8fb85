import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { idArgument, nameArgument, reasonArgument, scopesArgument, timeArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { block } from "../../output/table.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoIdentity } from "../../views/identity.ts";
import { fromProtoKey, keyFields } from "../../views/keys/key.ts";
import { requirePresent } from "../../views/values.ts";
import { withExamples } from "../examples.ts";
import {
  addGraceOptions,
  type GraceOptions,
  graceSecsOf,
  storedTokensToReplace,
  showRotation,
  toProtoGrace,
} from "../rotation.ts";

interface UpdateOptions {
  readonly name?: string;
  readonly scope?: readonly string[];
  readonly expiresAt?: Date;
}

interface RevokeOptions {
  readonly reason?: string;
}

const LINEAGE_NOTE = "\nFor the key in use and the keys below it";

/** Adds the commands that change a key: `update`, `rotate` and `revoke`. */
export function addKeyLifecycleCommands(keys: Command, context: Context): void {
  const update = keys
    .command("update")
    .description("Rename a key, narrow its scopes or bring its expiry forward")
    .argument("<id>", "Id of the key (key_…)", idArgument)
    .option("--name <name>", "Name for people; need not be unique", nameArgument)
    .option("--scope <scopes>", "All its scopes from now on, a subset of the current ones", scopesArgument)
    .option("--expires-at <time>", "New expiry, RFC 3339 with an offset; never later", timeArgument)
    .addHelpText("after", `${LINEAGE_NOTE}; a root key changes every key of the namespace. Nothing widens a key again.`)
    .action((id: string, options: UpdateOptions) => updateKey(context, id, options));
  withExamples(
    update,
    'cloud keys update key_01jxyz… --scope "inference:invoke"',
    "cloud keys update key_01jxyz… --name ci --expires-at 2027-01-01T00:00:00Z",
  );

  const rotate = keys
    .command("rotate")
    .description("Give a key a new token, shown once")
    .argument("<id>", "Id of the key (key_…)", idArgument)
    .action((id: string, options: GraceOptions) => rotateKey(context, id, options));
  addGraceOptions(rotate).addHelpText(
    "after",
    `${LINEAGE_NOTE}, a root key included. The key itself, its limits and its usage carry on.\n` +
      "Until its grace ends the old token may only invoke and read. Where it is saved here, the new one is saved instead.",
  );
  withExamples(rotate, "cloud keys rotate key_01jxyz…", "cloud keys rotate key_01jxyz… --leaked");

  const revoke = keys
    .command("revoke")
    .description("Revoke a key and every key below it, at once and for good")
    .argument("<id>", "Id of the key (key_…)", idArgument)
    .option("--reason <text>", "Reason, kept with the key; up to 200 characters", reasonArgument)
    .option("--yes", "Accepted without effect: revoking never asks")
    .addHelpText(
      "after",
      `\nIt never asks, takes effect at once and cannot be undone.${LINEAGE_NOTE}; a root key revokes every key of the namespace.`,
    )
    .action((id: string, options: RevokeOptions) => revokeKey(context, id, options));
  withExamples(
    revoke,
    "cloud keys revoke key_01jxyz…",
    'cloud keys revoke key_01jxyz… --reason "in a public repository"',
  );
}

async function updateKey(context: Context, id: string, { name, scope, expiresAt }: UpdateOptions): Promise<void> {
  if (name === undefined && scope === undefined && expiresAt === undefined) {
    throw usageError("there is nothing to change: give --name, --scope or --expires-at");
  }
  const { keys } = await context.connect(await loginCredential(context.settings));
  const request = {
    id,
    ...(name !== undefined && { name }),
    ...(scope !== undefined && { scopes: [...scope] }),
    ...(expiresAt !== undefined && { expiresAt: timestampFromDate(expiresAt) }),
  };
  const view = fromProtoKey(requirePresent((await keys.updateKey(request)).key));
  context.output.data(view, () => block(keyFields(view)));
  context.output.note("Changed. Keys below it are limited by it too.");
}

async function rotateKey(context: Context, id: string, options: GraceOptions): Promise<void> {
  const graceSecs = graceSecsOf(options);
  const credential = await loginCredential(context.settings);
  const { identity, keys } = await context.connect(credential);
  // Found before the rotation, because without grace the credential in use may be invalid after it.
  const tokens = await storedTokensToReplace(context, credential, {
    isInUse: fromProtoIdentity(await identity.whoAmI({})).key?.id === id,
    prefix: async () => (await keys.getKey({ id })).key?.prefix,
  });
  const { key, token, graceEndsAt } = await keys.rotateKey({ id, ...toProtoGrace(graceSecs) });
  const view = fromProtoKey(requirePresent(key));
  const fields = keyFields(view).filter(([field]) => ["id", "name", "expires"].includes(field));
  const stillMay = "invoke and read";
  await showRotation(context, {
    view,
    fields,
    token,
    graceEndsAt: requirePresent(graceEndsAt),
    graceSecs,
    stillMay,
    storedTokens: tokens,
  });
}

async function revokeKey(context: Context, id: string, { reason }: RevokeOptions): Promise<void> {
  const { keys } = await context.connect(await loginCredential(context.settings));
  const view = fromProtoKey(requirePresent((await keys.revokeKey({ id, reason: reason ?? "" })).key));
  context.output.data(view, () => block(keyFields(view)));
  context.output.note("Revoked, with every key below it.");
}
