import { type Timestamp, timestampFromDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { type GetUsageResponse, UsageDimension } from "@routeplane/contracts/usage";
import { type Command, Option } from "commander";
import { type DimensionName, MAX_LARGEST, rowsArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { keptFromOf } from "../kept-usage.ts";
import { RequestNames } from "../request-names.ts";
import { loginCredential } from "../session.ts";
import { reportText, type ReportView } from "../views/report.ts";
import { fromProtoUsage, fromProtoUsageGroup } from "../views/usage.ts";
import { requirePresent } from "../views/values.ts";
import { withExamples } from "./examples.ts";
import { addRangeOptions, type RangeOptions, type TimeRange, withRange } from "./time-range.ts";

interface ReportOptions {
  readonly top: number;
}

/** Keys and models that are shown unless `--top` says otherwise. */
const TOP = 5;

export function defineReport(report: Command, context: Context): void {
  addRangeOptions(report, "Start (default: --to minus 30 days)", "End, exclusive (default: now)")
    .addOption(new Option("--top <number>", "Number of keys and models to show").argParser(rowsArgument).default(TOP))
    .addHelpText(
      "after",
      "\nThe time before has the same length as the range and ends where the range begins. Days are UTC days.",
    )
    .action((options: ReportOptions & RangeOptions) => showReport(context, withRange(options), options.timeZone));
  withExamples(
    report,
    "cloud report",
    "cloud report --since 7d --top 10",
    "cloud report --from 2026-05-01 --to 2026-06-01 --json",
  );
}

async function showReport(
  context: Context,
  { from, to, top }: ReportOptions & TimeRange,
  timeZone: string | undefined,
): Promise<void> {
  const client = await context.connect(await loginCredential(context.settings));
  const asked = { ...(from && { from: timestampFromDate(from) }), ...(to && { to: timestampFromDate(to) }) };
  // The node determines the range; all parts of the report then use it.
  const response = await client.usage.getUsage(asked);
  const [previous, keys, models, statuses, days] = await readParts(client, response, top);
  const names = new RequestNames(client, context.output);
  const view = (by: DimensionName, { groups }: GetUsageResponse) =>
    groups.map((group) => fromProtoUsageGroup(group, [by], names));
  const largest = (by: DimensionName, response: GetUsageResponse) =>
    view(by, response)
      .filter(({ rest_count }) => rest_count === undefined)
      .slice(0, top);
  await names.load(largest("key", keys).flatMap(({ key_id }) => key_id ?? []));
  const report: ReportView = {
    ...fromProtoUsage(response),
    previous: previous === undefined ? null : fromProtoUsage(previous),
    keys: largest("key", keys),
    models: largest("model", models),
    statuses: view("status", statuses),
    days: view("day", days),
  };
  const counts = { keys: valueCountOf(keys), models: valueCountOf(models) };
  context.output.data(report, (style) => reportText(report, counts, style, timeZone));
}

/** Number of values of the single dimension that was requested. */
function valueCountOf({ groups }: GetUsageResponse): number {
  return groups.reduce((sum, { restCount }) => sum + (Number(restCount) || 1), 0);
}

type Parts = readonly [GetUsageResponse, GetUsageResponse, GetUsageResponse, GetUsageResponse];

/**
 * Reads the usage of the previous period of the same length, undefined if the node no longer keeps it, and that of the range by key, model,
 * status and day. Only the keys and models with the largest spend are read.
 */
async function readParts(
  { usage }: NodeClient,
  range: GetUsageResponse,
  top: number,
): Promise<readonly [GetUsageResponse | undefined, ...Parts]> {
  const [from, to] = [requirePresent(range.from), requirePresent(range.to)];
  const by = (dimension: UsageDimension, largest = 0) => usage.getUsage({ from, to, groupBy: [dimension], largest });
  // If there are more, they are all read, up to the bound of the node.
  const largest = top <= MAX_LARGEST ? top : 0;
  return Promise.all([
    usage.getUsage({ from: startBefore(from, to), to: from }).catch((error: unknown) => {
      if (keptFromOf(error) === undefined) throw error;
      return undefined;
    }),
    by(UsageDimension.KEY, largest),
    by(UsageDimension.MODEL, largest),
    by(UsageDimension.STATUS),
    by(UsageDimension.DAY),
  ]);
}

/** Start of the previous period: it has the same length as the range, and ends where the range begins. */
function startBefore(from: Timestamp, to: Timestamp): Timestamp {
  return timestampFromDate(new Date(2 * timestampMs(from) - timestampMs(to)));
}
