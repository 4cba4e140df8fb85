import { type Timestamp, timestampFromDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { type GetUsageResponse, UsageDimension } from "@routeplane/contracts/usage";
import { type Command, Option } from "commander";
import { type DimensionName, rowsArgument } from "../arguments.ts";
import type { NodeClient } from "../client.ts";
import type { Context } from "../context.ts";
import { RequestNames } from "../request-names.ts";
import { loginCredential } from "../session.ts";
import { reportText, type ReportView } from "../views/report.ts";
import { fromProtoUsage, fromProtoUsageGroup, type UsageGroupView } from "../views/usage.ts";
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
      "\nThe spend before is that of as long a time, which ends where the range begins. Days are those of UTC.",
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
  // The node decides on the range, of which all parts of the report are.
  const response = await client.usage.getUsage(asked);
  const [previous, keys, models, statuses, days] = await readParts(client, response);
  const names = new RequestNames(client, context.output);
  const largest = (groups: readonly UsageGroupView[]) =>
    groups.toSorted((left, right) => right.spend_micro_usd - left.spend_micro_usd).slice(0, top);
  const view = (by: DimensionName, { groups }: GetUsageResponse) =>
    groups.map((group) => fromProtoUsageGroup(group, [by], names));
  await names.load(largest(view("key", keys)).map(({ key_id = "" }) => key_id));
  const report: ReportView = {
    ...fromProtoUsage(response),
    previous: fromProtoUsage(previous),
    keys: largest(view("key", keys)),
    models: largest(view("model", models)),
    statuses: view("status", statuses),
    days: view("day", days),
  };
  const counts = { keys: keys.groups.length, models: models.groups.length };
  context.output.data(report, (style) => reportText(report, counts, style, timeZone));
}

/** Reads usage of as long a time before, and that of the range by key, model, status and day. */
async function readParts(
  { usage }: NodeClient,
  range: GetUsageResponse,
): Promise<readonly [GetUsageResponse, GetUsageResponse, GetUsageResponse, GetUsageResponse, GetUsageResponse]> {
  const [from, to] = [requirePresent(range.from), requirePresent(range.to)];
  const by = (dimension: UsageDimension) => usage.getUsage({ from, to, groupBy: [dimension] });
  return Promise.all([
    usage.getUsage({ from: startBefore(from, to), to: from }),
    by(UsageDimension.KEY),
    by(UsageDimension.MODEL),
    by(UsageDimension.STATUS),
    by(UsageDimension.DAY),
  ]);
}

/** Start of a range as long as another one, which ends where that begins. */
function startBefore(from: Timestamp, to: Timestamp): Timestamp {
  return timestampFromDate(new Date(2 * timestampMs(from) - timestampMs(to)));
}
