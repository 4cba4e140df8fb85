import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createQueryOptions, useQuery } from "@connectrpc/connect-query";
import { type GetUsageRequestSchema, UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { keepPreviousData, type QueryClient } from "@tanstack/react-query";
import { bucketUnitOf } from "../../components/chart/time-buckets.ts";
import { largestBy } from "../../components/chart/usage-series.ts";
import type { MeasureName } from "../../format/measures.ts";
import { rangeBefore, type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";

/** Options of reads that are shown until those of a later range are there. Responses say what range they are of. */
const OPTIONS = { placeholderData: keepPreviousData };

/** Query of the chart: what it shows, of which range, and what it is stacked by. */
interface ChartQuery {
  readonly range: TimeRange;
  readonly by: DimensionName;
  readonly measure: MeasureName;
  readonly timeZone: string;
}

/** Usage of each hour or day and each of the largest values of a dimension, and its totals: one snapshot. Days are those of the time zone. */
export function useUsageOverTime(query: ChartQuery) {
  return useQuery(UsageService.method.getUsage, overTime(query), OPTIONS);
}

/** Begins to read what `useUsageOverTime` reads, before a part of the page does. */
export function prefetchUsageOverTime(queries: QueryClient, transport: Transport, query: ChartQuery): void {
  void queries.prefetchQuery(createQueryOptions(UsageService.method.getUsage, overTime(query), { transport }));
}

/** Totals of the range before a range. */
export function useUsageBefore(range: TimeRange) {
  return useQuery(UsageService.method.getUsage, toProtoRange(rangeBefore(range)), OPTIONS);
}

/** Usage of each of the largest keys, also in parts of it. Where the chart is by key, its read serves. */
export function useUsageByKey(query: ChartQuery) {
  const byKey = { ...toProtoRange(query.range), groupBy: [UsageDimension.KEY], ...largestBy(query.measure) };
  return useQuery(UsageService.method.getUsage, query.by === "key" ? overTime(query) : byKey, OPTIONS);
}

/** Usage and latencies of each model. */
export function useUsageByModel(range: TimeRange) {
  const input = { ...toProtoRange(range), groupBy: [UsageDimension.MODEL], latency: true };
  return useQuery(UsageService.method.getUsage, input, OPTIONS);
}

function overTime({ range, by, measure, timeZone }: ChartQuery): MessageInitShape<typeof GetUsageRequestSchema> {
  const isByHour = bucketUnitOf(range) === "hour";
  return {
    ...toProtoRange(range),
    groupBy: [isByHour ? UsageDimension.HOUR : UsageDimension.DAY, DIMENSIONS[by].groupBy],
    ...largestBy(measure),
    timeZone: isByHour || timeZone === "UTC" ? "" : timeZone,
  };
}
