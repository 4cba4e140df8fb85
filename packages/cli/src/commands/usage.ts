import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type GetNodeUsageRequestSchema, UsageDimension, UsageMeasure } from "@routeplane/contracts/usage";
import { type Command, Option } from "commander";
import { type DimensionName, groupByArgument, idArgument, keyArgument, largestArgument } from "../arguments.ts";
import type { Context } from "../context.ts";
import { usageError } from "../errors.ts";
import { delimitedText, isDelimited } from "../output/delimited.ts";
import { addOrderOptions, orderOf, type RowOrder } from "../output/row-order.ts";
import { block } from "../output/table.ts";
import { namespaceNames, RequestNames } from "../request-names.ts";
import { type MeasureName, MEASURES } from "../request-words.ts";
import { loginCredential, operatorCredential } from "../session.ts";
import {
  fromProtoNamespaceUsage,
  fromProtoUsage,
  fromProtoUsageGroup,
  groupedUsageFields,
  type UsageGroupView,
  type UsageView,
  usageFields,
} from "../views/usage.ts";
import { groupColumns, groupTable } from "../views/usage-groups.ts";
import { withExamples } from "./examples.ts";
import { resolveFilter } from "./requests/resolve-filter.ts";
import { addRangeOptions, type RangeOptions, type TimeRange, withRange } from "./time-range.ts";

interface UsageOptions extends RowOrder {
  readonly groupBy?: readonly DimensionName[];
  readonly key?: string;
  readonly model?: string;
  readonly provider?: string;
  readonly allNamespaces?: boolean;
  readonly largest?: number;
  readonly largestBy?: MeasureName;
}

const DIMENSIONS: Readonly<Record<DimensionName, UsageDimension>> = {
  key: UsageDimension.KEY,
  model: UsageDimension.MODEL,
  provider: UsageDimension.PROVIDER,
  status: UsageDimension.STATUS,
  hour: UsageDimension.HOUR,
  day: UsageDimension.DAY,
};

const USAGE_MEASURES: Readonly<Record<MeasureName, UsageMeasure>> = {
  spend: UsageMeasure.SPEND,
  requests: UsageMeasure.REQUESTS,
  tokens: UsageMeasure.TOKENS,
  denied: UsageMeasure.DENIED,
};

export function defineUsage(usage: Command, context: Context): void {
  addRangeOptions(usage, "Start (default: --to minus 30 days)", "End, exclusive (default: now)")
    .option("--group-by <dimensions>", "Dimensions to group by, separated by commas", groupByArgument)
    .option("--key <name|id>", "Key whose requests are counted, as name or id", keyArgument)
    .option("--model <id>", "Model whose requests are counted, as id or provider/id", idArgument)
    .option("--provider <name>", "Provider whose requests are counted", idArgument)
    .addOption(
      new Option("--largest <number>", "Values that get a group each; all others share one").argParser(largestArgument),
    )
    .addOption(new Option("--largest-by <amount>", "Amount that is compared (default: spend)").choices(MEASURES))
    .option("--all-namespaces", "Show every namespace of the node (operator only)")
    .addOption(new Option("--format <format>", "Format, as with --output").choices(["table", "csv", "json"]))
    .addHelpText(
      "after",
      "\nDimensions: key, model, provider, status, hour, day. Days are UTC days, or days in --time-zone if given.\n--all-namespaces counts whole hours; a day begins at the nearest whole hour of UTC.\n--largest compares values, or combinations of them, over the whole range. --top leaves groups out instead.",
    )
    .action((options: UsageOptions & RangeOptions) => showUsage(context, withRange(options), options.timeZone));
  addOrderOptions(usage, "groups");
  withExamples(
    usage,
    "cloud usage",
    "cloud usage --since 24h --group-by model",
    "cloud usage --from 2026-05-01 --to 2026-06-01 --time-zone Europe/Berlin --group-by day",
    "cloud usage --from 2026-05-01T00:00:00Z --to 2026-06-01T00:00:00Z --group-by model,day",
    "cloud usage --group-by key --json",
    "cloud usage --key ci-bot",
    "cloud usage --provider openai --group-by model",
    "cloud usage --group-by key --sort spend_micro_usd --top 10",
    "cloud usage --group-by day,key --largest 5 --largest-by requests",
    "cloud usage --all-namespaces",
  );
}

async function showUsage(
  context: Context,
  options: UsageOptions & TimeRange,
  timeZone: string | undefined,
): Promise<void> {
  const { from, to, groupBy = [], key, model, provider, allNamespaces = false } = options;
  const dimensions = allNamespaces ? (["namespace", ...groupBy] as const) : groupBy;
  if (dimensions.length === 0 && (options.sort ?? options.top) !== undefined)
    throw usageError("--sort and --top order groups: add --group-by");
  const { largest, largestBy } = options;
  if (largest === undefined && largestBy !== undefined) throw usageError("--largest-by needs --largest");
  if (largest !== undefined && !dimensions.some((name) => name !== "hour" && name !== "day"))
    throw usageError("--largest needs --group-by with key, model, provider or status");
  const order = orderOf(groupColumns(dimensions, true), options);
  const grouping = { shown: groupBy, timeZone, order };
  const query = {
    ...(from && { from: timestampFromDate(from) }),
    ...(to && { to: timestampFromDate(to) }),
    groupBy: groupBy.map((name) => DIMENSIONS[name]),
    latency: true,
    ...(largest !== undefined && { largest, largestBy: USAGE_MEASURES[largestBy ?? "spend"] }),
    ...(groupBy.includes("day") && timeZone !== undefined && { timeZone }),
  };
  if (allNamespaces) {
    if (key !== undefined || model !== undefined || provider !== undefined)
      throw usageError("--all-namespaces cannot be combined with --key, --model or --provider");
    return showNodeUsage(context, query, grouping);
  }
  const credential = await loginCredential(context.settings);
  const client = await context.connect(credential);
  const resolved = await resolveFilter(context, credential, options);
  const filter = { keyId: resolved.key ?? "", model: resolved.model ?? "", provider: resolved.provider ?? "" };
  const response = await client.usage.getUsage({ ...query, ...filter });
  const totals = fromProtoUsage(response);
  if (groupBy.length === 0) return context.output.data(totals, (style) => block(usageFields(totals, style, timeZone)));
  const names = new RequestNames(client, context.output);
  if (groupBy.includes("key")) await names.load(response.groups.flatMap(({ keyId }) => keyId || []));
  const groups = response.groups.map((group) => fromProtoUsageGroup(group, groupBy, names));
  showGroups(context, { ...totals, groups: order(groups) }, groupBy, timeZone);
}

/** Groups as they are shown. */
interface Grouping {
  readonly shown: readonly DimensionName[];
  readonly timeZone: string | undefined;
  readonly order: (groups: readonly UsageGroupView[]) => readonly UsageGroupView[];
}

async function showNodeUsage(
  context: Context,
  query: MessageInitShape<typeof GetNodeUsageRequestSchema>,
  { shown, timeZone, order }: Grouping,
): Promise<void> {
  const client = await context.connect(await operatorCredential(context.settings));
  const [response, namespaces] = await Promise.all([client.usageAdmin.getNodeUsage(query), namespaceNames(client)]);
  const groups = response.groups.map((group) => fromProtoNamespaceUsage(group, shown, namespaces));
  showGroups(context, { ...fromProtoUsage(response), groups: order(groups) }, ["namespace", ...shown], timeZone);
}

function showGroups(
  context: Context,
  view: UsageView & { readonly groups: readonly UsageGroupView[] },
  groupBy: readonly (DimensionName | "namespace")[],
  timeZone: string | undefined,
): void {
  const { output, stdout } = context;
  const { groups } = view;
  const { listFormat: format } = output;
  if (isDelimited(format)) {
    stdout.write(delimitedText(format, groupColumns(groupBy, true), groups));
    return;
  }
  output.data(view, (style) => {
    const fields = groups.length === 0 ? usageFields(view, style, timeZone) : groupedUsageFields(view, timeZone);
    return [block(fields), ...groupTable(groups, groupBy, view, { style, timeZone })].join("\n\n");
  });
}
