import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { type SavedFile, writeSaved } from "@routeplane/standalone/saved-files";
import { type Command, Option } from "commander";
import { join } from "node:path";
import { graceArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { CliError, ExitCode } from "../errors.ts";
import { block } from "../output/table.ts";
import { formatTime } from "../output/time.ts";
import { type Credential, type TokenPlace, tokenPlaces } from "../session.ts";

/**
 * What `keys rotate` and `operator rotate` have in common: how long the token that is replaced goes on, and that it is replaced
 * where it is saved on this machine too, so that nobody is signed out when its grace ends.
 */

export interface GraceOptions {
  readonly grace?: number;
  readonly leaked?: boolean;
}

export function addGraceOptions(command: Command): Command {
  return command
    .option("--grace <time>", "Let the old token go on for 0s to 7d (default: 1h)", graceArgument)
    .addOption(new Option("--leaked", "End every earlier token at once, after a leak").conflicts("grace"));
}

/** In seconds; undefined: as the node has it. */
export function graceSecsOf({ grace, leaked = false }: GraceOptions): number | undefined {
  return leaked ? 0 : grace;
}

/** As the requests of rotations have it. */
export function toProtoGrace(seconds: number | undefined): { grace?: { seconds: bigint; nanos: number } } {
  return seconds === undefined ? {} : { grace: { seconds: BigInt(seconds), nanos: 0 } };
}

/** The credential that is about to be rotated. */
export interface Rotated {
  /** Whether it is the one in use. */
  readonly isInUse: boolean;
  /** Reads the start of the token that it has. */
  readonly prefix: () => Promise<string | undefined>;
}

/** Places on this machine that hold the token which a rotation is about to replace. */
export async function placesOf(
  { settings }: Context,
  { token }: Credential,
  { isInUse, prefix }: Rotated,
): Promise<readonly TokenPlace[]> {
  const all = await tokenPlaces(settings);
  if (isInUse) return all.filter((place) => place.token === token);
  const others = all.filter((place) => place.token !== token);
  if (others.length === 0) return [];
  // Some may rotate a credential and not read it; then nothing is known to be replaced.
  const start = (await prefix().catch(() => undefined)) || undefined;
  return start === undefined ? [] : others.filter((place) => place.token.startsWith(start));
}

export interface Rotation {
  /** The credential under --json. */
  readonly view: object;
  readonly fields: readonly [string, string][];
  readonly token: string;
  readonly graceEndsAt: Timestamp;
  /** What the old token may still do until then. */
  readonly stillMay: string;
  readonly graceSecs: number | undefined;
  readonly places: readonly TokenPlace[];
}

/** Shows a new token, and saves it wherever the old one was saved. The token is shown even if it cannot be saved. */
export async function showRotation(context: Context, rotation: Rotation): Promise<void> {
  const { output } = context;
  const { view, fields, token, graceSecs, stillMay, places } = rotation;
  const graceEndsAt = timestampDate(rotation.graceEndsAt).toISOString();
  const { savedIn, fault } = await saveInPlaceOfOld(context, places, token);
  const shown = { ...view, token, grace_ends_at: graceEndsAt, saved_in: savedIn };
  output.data(shown, () => block([...fields, ["token", token]]));
  output.note("The token is shown once: save it now, wherever it is used.");
  output.note(
    graceSecs === 0
      ? "No earlier token works any more."
      : `The old one works until ${formatTime(graceEndsAt)}, only to ${stillMay}.`,
  );
  if (savedIn.length > 0) output.note(`Saved the new one in ${savedIn.join(" and ")}, in place of the old one.`);
  for (const place of places) {
    if (place.kind === "variable") output.note(`${place.name} still holds the old one: set it to the new one.`);
  }
  if (fault !== undefined) throw fault;
}

async function saveInPlaceOfOld(
  { settings: { home } }: Context,
  places: readonly TokenPlace[],
  token: string,
): Promise<{ readonly savedIn: readonly string[]; readonly fault: CliError | undefined }> {
  const savedIn: string[] = [];
  let fault: CliError | undefined;
  for (const place of places) {
    if (place.kind !== "file") continue;
    const path = join(home, place.name);
    try {
      await writeSaved(home, place.name satisfies SavedFile, token);
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
