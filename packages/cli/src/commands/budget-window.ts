import { isCalendarWindow } from "@routeplane/admission";
import { definedFields } from "@routeplane/domain";
import { PROTO_BUDGET_WINDOWS } from "@routeplane/policy-spec/proto";
import { type Command, Option } from "commander";
import { usageError } from "../errors.ts";
import { timeZoneArgument } from "../written-time.ts";

/** Flags of a budget's window. */
export interface WindowFlags {
  readonly window?: keyof typeof PROTO_BUDGET_WINDOWS;
  readonly timeZone?: string;
}

/** Help on the windows, for commands that take `--window`. */
export const WINDOW_HELP =
  "\nhour, day, week and month roll: what was spent leaves them after 1 hour, 24 hours, 7 days, 30 days. calendar_day and\n" +
  "calendar_month begin at midnight in the time zone, the latter on the first day of the month.";

/** Adds `--window`, with this description, and `--time-zone`. */
export function addWindowOptions(command: Command, description: string): Command {
  return command
    .addOption(new Option("--window <window>", description).choices(Object.keys(PROTO_BUDGET_WINDOWS)))
    .option("--time-zone <name>", "Time zone of a calendar window (default: UTC)", timeZoneArgument);
}

/**
 * Converts the flags to the fields of a request.
 *
 * @throws CliError for a time zone with a window that is not a calendar window
 */
export function toProtoWindow({ window, timeZone }: WindowFlags) {
  if (timeZone !== undefined && window !== undefined && !isCalendarWindow(window))
    throw usageError("--time-zone needs --window calendar_day or calendar_month");
  return definedFields({ window: window && PROTO_BUDGET_WINDOWS[window], timeZone });
}
