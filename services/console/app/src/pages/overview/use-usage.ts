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

/** Query options that keep the previous data until the new range has been read. A response names its range. */
const OPTIONS = { placeholderData: keepPreviousData };

/** Query of the chart: its measure, its range, and the dimension by which it is stacked. */
interface ChartQuery {
  readonly range: TimeRange;
  readonly by: DimensionName;
  readonly measure: MeasureName;
  readonly timeZone: string;
}

/** Usage by hour or day and by the largest values of a dimension, with totals, in one snapshot. Days are those of the time zone. */
export function useUsageOverTime(query: ChartQuery) {
  return useQuery(UsageService.method.getUsage, overTime(query), OPTIONS);
}

/** Starts the read of `useUsageOverTime` before the page is rendered. */
export function prefetchUsageOverTime(queries: QueryClient, transport: Transport, query: ChartQuery): void {
  void queries.prefetchQuery(createQueryOptions(UsageService.method.getUsage, overTime(query), { transport }));
}

/** Totals of the previous range of the same length. */
export function useUsageBefore(range: TimeRange) {
  return useQuery(UsageService.method.getUsage, toProtoRange(rangeBefore(range)), OPTIONS);
}

/** Usage of each of the largest keys, possibly in several groups per key. If the chart is by key, its read is used. */
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
