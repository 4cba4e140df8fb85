import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createQueryOptions, useQuery } from "@connectrpc/connect-query";
import { type GetUsageRequestSchema, UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { keepPreviousData, type QueryClient } from "@tanstack/react-query";
import { bucketUnitOf } from "../../components/chart/time-buckets.ts";
import { rangeBefore, type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";

/** Options of reads that are shown until those of a later range are there. Responses say what range they are of. */
const OPTIONS = { placeholderData: keepPreviousData };

/** Usage of each hour or day and each value of a dimension, and its totals: one snapshot. Days are those of the time zone. */
export function useUsageOverTime(range: TimeRange, by: DimensionName, timeZone: string) {
  return useQuery(UsageService.method.getUsage, overTime(range, by, timeZone), OPTIONS);
}

/** Begins to read what `useUsageOverTime` reads, before a part of the page does. */
export function prefetchUsageOverTime(
  queries: QueryClient,
  transport: Transport,
  { range, by, timeZone }: { readonly range: TimeRange; readonly by: DimensionName; readonly timeZone: string },
): void {
  const input = overTime(range, by, timeZone);
  void queries.prefetchQuery(createQueryOptions(UsageService.method.getUsage, input, { transport }));
}

/** Totals of the range before a range. */
export function useUsageBefore(range: TimeRange) {
  return useQuery(UsageService.method.getUsage, toProtoRange(rangeBefore(range)), OPTIONS);
}

/** Usage of each key, also in parts of it. Where the chart is by key, its read serves. */
export function useUsageByKey(range: TimeRange, by: DimensionName, timeZone: string) {
  const input =
    by === "key" ? overTime(range, by, timeZone) : { ...toProtoRange(range), groupBy: [UsageDimension.KEY] };
  return useQuery(UsageService.method.getUsage, input, OPTIONS);
}

/** Usage and latencies of each model. */
export function useUsageByModel(range: TimeRange) {
  const input = { ...toProtoRange(range), groupBy: [UsageDimension.MODEL], latency: true };
  return useQuery(UsageService.method.getUsage, input, OPTIONS);
}

function overTime(
  range: TimeRange,
  by: DimensionName,
  timeZone: string,
): MessageInitShape<typeof GetUsageRequestSchema> {
  const group = DIMENSIONS[by].groupBy;
  if (bucketUnitOf(range) === "hour") return { ...toProtoRange(range), groupBy: [UsageDimension.HOUR, group] };
  const zone = timeZone === "UTC" ? "" : timeZone;
  return { ...toProtoRange(range), groupBy: [UsageDimension.DAY, group], timeZone: zone };
}
