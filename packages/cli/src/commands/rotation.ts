import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import { graceArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { block } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { type Credential, type StoredToken, storedTokens } from "../session.ts";
import { fromProtoRequiredTime } from "../views/values.ts";

/**
 * Parts shared by `keys rotate` and `operator rotate`: the grace of the old token, and its replacement in the files of this machine that
 * hold it, so that the CLI stays signed in when the grace ends.
 */

export interface GraceOptions {
  readonly grace?: number;
  readonly leaked?: boolean;
}

export function addGraceOptions(command: Command): Command {
  return command
    .option("--grace <time>", "Grace of the old token, 0s to 7d (default: 1h)", graceArgument)
    .addOption(new Option("--leaked", "End every earlier token at once, after a leak").conflicts("grace"));
}

/** Credential to rotate. */
export interface Rotated {
  /** True for the credential that the command runs as. */
  readonly isInUse: boolean;
  /** Reads the prefix of its current token. */
  prefix(): Promise<string | undefined>;
  /** Rotates the credential. @param grace of the old token; without a member for the node's default */
  rotate(grace: ProtoGrace): Promise<{
    /** JSON view of the credential. */
    readonly view: object;
    readonly fields: readonly [string, string][];
    readonly token: string;
    readonly graceEndsAt: Timestamp | undefined;
  }>;
  /** Verbs for what the old token may still do during its grace, e.g. `invoke and read`. */
  readonly allowedDuringGrace: string;
  /** True for a credential by which people sign in. */
  readonly opensSessions: boolean;
}

interface ProtoGrace {
  readonly grace?: { readonly seconds: bigint; readonly nanos: number };
}

/** Fields of a credential that are shown beside its new token. */
const SHOWN_FIELDS = new Set(["id", "name", "expires"]);

/** Rotates a credential, shows its new token and saves it wherever the old one was saved. The token is shown even if it cannot be saved. */
export async function rotateCredential(
  context: Context,
  credential: Credential,
  { grace, leaked = false }: GraceOptions,
  rotated: Rotated,
): Promise<void> {
  const { output } = context;
  const seconds = leaked ? 0 : grace;
  // Read before the rotation, because without grace the credential in use may be invalid after it.
  const stored = await storedTokensToReplace(context, credential, rotated);
  const rotation = await rotated.rotate(seconds === undefined ? {} : { grace: { seconds: BigInt(seconds), nanos: 0 } });
  const { view, token } = rotation;
  const graceEndsAt = fromProtoRequiredTime(rotation.graceEndsAt);
  const { savedIn, fault } = await replaceSavedTokens(stored, token);
  const shown = rotation.fields.filter(([field]) => SHOWN_FIELDS.has(field));
  output.data({ ...view, token, grace_ends_at: graceEndsAt, saved_in: savedIn }, () =>
    block([...shown, ["token", token]]),
  );
  output.note("The token is shown once: save it now, wherever it is used.");
  output.note(
    seconds === 0
      ? "No earlier token works any more."
      : `The old one works until ${formatTime(graceEndsAt)}, only to ${rotated.allowedDuringGrace}.`,
  );
  if (rotated.opensSessions) {
    output.note(
      seconds === 0
        ? "Sessions that it opened in the console have ended."
        : "Sessions that it opened in the console go on, for 12 hours at most: routeplane cloud sessions revoke ends one.",
    );
  }
  if (savedIn.length > 0) output.note(`Saved the new one in ${savedIn.join(" and ")}, in place of the old one.`);
  for (const storedToken of stored) {
    if (storedToken.kind === "variable")
      output.note(`${storedToken.name} still holds the old one: set it to the new one.`);
  }
  if (fault !== undefined) throw fault;
}

/** Stored tokens of the credential that is about to be rotated; empty if they cannot be identified. */
async function storedTokensToReplace(
  { settings }: Context,
  { token }: Credential,
  rotated: Rotated,
): Promise<readonly StoredToken[]> {
  const all = await storedTokens(settings);
  if (rotated.isInUse) return all.filter((stored) => stored.token === token);
  const others = all.filter((stored) => stored.token !== token);
  if (others.length === 0) return [];
  // A caller that may rotate the credential but not read it cannot tell which stored token is of this credential.
  const start = (await rotated.prefix().catch(() => undefined)) || undefined;
  return start === undefined ? [] : others.filter((stored) => stored.token.startsWith(start));
}

/** Writes `token` to each file in `storedTokens`. Returns a fault rather than throwing it, so that the token is still shown. */
async function replaceSavedTokens(
  storedTokens: readonly StoredToken[],
  token: string,
): Promise<{ readonly savedIn: readonly string[]; readonly fault: CliError | undefined }> {
  const savedIn: string[] = [];
  let fault: CliError | undefined;
  for (const storedToken of storedTokens) {
    if (storedToken.kind !== "file") continue;
    const { path } = storedToken;
    try {
      await storedToken.replace(token);
      savedIn.push(path);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const message = `the credential was rotated, but its new token cannot be saved in ${path}: ${why}`;
      const hint = "Write the token above into that file yourself, before the grace of the old one ends.";
      fault = new CliError(ExitCode.failed, "failed_precondition", "FILE_UNWRITABLE", message, { hint });
    }
  }
  return { savedIn, fault };
}
