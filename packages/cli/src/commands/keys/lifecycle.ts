import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { keyArgument, nameArgument, reasonArgument, scopesArgument } from "../../arguments.ts";
import type { Context } from "../../context.ts";
import { usageError } from "../../errors.ts";
import { block } from "../../output/table.ts";
import { resolveKey } from "../../resolve-name.ts";
import { loginCredential } from "../../session.ts";
import { fromProtoIdentity } from "../../views/identity.ts";
import { fromProtoKey, keyFields } from "../../views/keys/key.ts";
import { requirePresent } from "../../views/values.ts";
import { expiryArgument } from "../../written-time.ts";
import { withExamples } from "../examples.ts";
import { addGraceOptions, type GraceOptions, rotateCredential } from "../rotation.ts";

interface UpdateOptions {
  readonly name?: string;
  readonly scope?: readonly string[];
  readonly expiresAt?: Date;
}

interface RevokeOptions {
  readonly reason?: string;
}

/** Adds the commands that change a key: `update`, `rotate` and `revoke`. */
export function addKeyLifecycleCommands(keys: Command, context: Context): void {
  const update = keys
    .command("update")
    .description("Rename a key, narrow its scopes or bring its expiry forward")
    .argument("<name|id>", "Name or id of the key (key_…)", keyArgument)
    .option("--name <name>", "Name for people; need not be unique", nameArgument)
    .option("--scope <scopes>", "All its scopes from now on, a subset of the current ones", scopesArgument)
    .option("--expires-at <time>", "New expiry, e.g. 30d or 2027-01-01; never later", expiryArgument)
    .addHelpText(
      "after",
      "\nA key updates itself and the keys below it; a root key updates any key of the namespace.\nA key that was narrowed cannot be widened again.",
    )
    .action((id: string, options: UpdateOptions) => updateKey(context, id, options));
  withExamples(
    update,
    'cloud keys update key_01jxyz… --scope "inference:invoke"',
    "cloud keys update key_01jxyz… --name ci --expires-at 2027-01-01T00:00:00Z",
  );

  const rotate = keys
    .command("rotate")
    .description("Replace the token of a key; the new one is shown once")
    .argument("<name|id>", "Name or id of the key (key_…)", keyArgument)
    .action((id: string, options: GraceOptions) => rotateKey(context, id, options));
  addGraceOptions(rotate).addHelpText(
    "after",
    "\nA key, even a root key, rotates only itself and the keys below it. Its id, limits and usage stay. The old token may\n" +
      "only invoke and read until its grace ends. If it is saved on this machine, the new token replaces it. Sessions that the key\n" +
      "opened in the console stay valid until they expire or are revoked (`routeplane cloud sessions revoke`); --leaked ends them.",
  );
  withExamples(rotate, "cloud keys rotate key_01jxyz…", "cloud keys rotate key_01jxyz… --leaked");

  const revoke = keys
    .command("revoke")
    .description("Revoke a key and every key below it, at once and for good")
    .argument("<name|id>", "Name or id of the key (key_…)", keyArgument)
    .option("--reason <text>", "Reason, kept with the key; up to 200 characters", reasonArgument)
    .option("-y, --yes", "Accepted without effect: revoking never asks")
    .addHelpText(
      "after",
      "\nIt never asks, takes effect at once and cannot be undone. A key revokes itself and the keys below it; a root key revokes\n" +
        "any key of the namespace.",
    )
    .action((id: string, options: RevokeOptions) => revokeKey(context, id, options));
  withExamples(revoke, "cloud keys revoke my-agent", 'cloud keys revoke key_01jxyz… --reason "in a public repository"');
}

async function updateKey(context: Context, nameOrId: string, { name, scope, expiresAt }: UpdateOptions): Promise<void> {
  if (name === undefined && scope === undefined && expiresAt === undefined) {
    throw usageError("there is nothing to change: give --name, --scope or --expires-at");
  }
  const client = await context.connect(await loginCredential(context.settings));
  const request = {
    id: await resolveKey(client, nameOrId),
    ...(name !== undefined && { name }),
    ...(scope !== undefined && { scopes: [...scope] }),
    ...(expiresAt !== undefined && { expiresAt: timestampFromDate(expiresAt) }),
  };
  const view = fromProtoKey(requirePresent((await client.keys.updateKey(request)).key));
  context.output.data(view, () => block(keyFields(view)));
  context.output.note("Changed. Keys below it are limited by it too.");
}

async function rotateKey(context: Context, nameOrId: string, options: GraceOptions): Promise<void> {
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const { identity, keys } = client;
  const id = await resolveKey(client, nameOrId);
  await rotateCredential(context, credential, options, {
    isInUse: fromProtoIdentity(await identity.whoAmI({})).key?.id === id,
    prefix: async () => (await keys.getKey({ id })).key?.prefix,
    async rotate(grace) {
      const { key, token, graceEndsAt } = await keys.rotateKey({ id, ...grace });
      const view = fromProtoKey(requirePresent(key));
      return { view, fields: keyFields(view), token, graceEndsAt };
    },
    allowedDuringGrace: "invoke and read",
    opensSessions: true,
  });
}

async function revokeKey(context: Context, nameOrId: string, { reason }: RevokeOptions): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const id = await resolveKey(client, nameOrId);
  const view = fromProtoKey(requirePresent((await client.keys.revokeKey({ id, reason: reason ?? "" })).key));
  context.output.data(view, () => block(keyFields(view)));
  context.output.note("Revoked, with every key below it.");
}
