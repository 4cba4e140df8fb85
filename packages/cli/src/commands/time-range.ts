import { type Command, Option } from "commander";
import { usageError } from "../errors.ts";
import { timeZoneArgument, toPastTime, type WrittenTime, writtenTimeArgument } from "../written-time.ts";

/** Options of a time range, as they are written. */
export interface RangeOptions {
  readonly from?: WrittenTime;
  readonly since?: WrittenTime;
  readonly to?: WrittenTime;
  readonly timeZone?: string;
}

/** Time range; the node chooses an end that is undefined. */
export interface TimeRange {
  readonly from?: Date;
  readonly to?: Date;
}

/** Adds the options of a range. @param from help text of its start @param to help text of its end */
export function addRangeOptions(command: Command, from = "Start, see below", to = "End, exclusive"): Command {
  return command
    .addOption(new Option("--from <time>", from).argParser(writtenTimeArgument).conflicts("since"))
    .option("--since <time>", "Same as --from", writtenTimeArgument)
    .option("--to <time>", to, writtenTimeArgument)
    .option("--time-zone <name>", "Time zone of dates (default: the system's)", timeZoneArgument)
    .addHelpText(
      "after",
      "\nTimes: 90m, 24h or 30d before now; a date, e.g. 2026-05-01, from its first moment on; or RFC 3339 with an offset.",
    );
}

/**
 * Replaces the written times of a range by moments.
 *
 * @throws CliError usage if the start is not before the end: the empty result would look as if there were no requests
 */
export function withRange<Options extends RangeOptions>(
  options: Options,
): Omit<Options, keyof RangeOptions> & TimeRange {
  const { from: writtenFrom, since, to: writtenTo, timeZone, ...others } = options;
  const reference = { now: Date.now(), timeZone };
  const [from, to] = [writtenFrom ?? since, writtenTo].map((written) => written && toPastTime(written, reference));
  if (from !== undefined && to !== undefined && from >= to) {
    throw usageError(`--from must be before --to: ${from.toISOString()} is not before ${to.toISOString()}`);
  }
  return { ...others, ...(from && { from }), ...(to && { to }) };
}
