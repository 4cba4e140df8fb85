import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { keepPreviousData } from "@tanstack/react-query";
import { bucketUnitOf } from "../../components/chart/time-buckets.ts";
import { rangeBefore, type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";

/** Options of reads that are shown until those of a later range are there. Responses say what range they are of. */
const OPTIONS = { placeholderData: keepPreviousData };

/** Usage of each hour or day and each value of a dimension, and its totals: one snapshot. Days are those of the time zone. */
export function useUsageOverTime(range: TimeRange, by: DimensionName, timeZone: string) {
  const group = DIMENSIONS[by].groupBy;
  const input =
    bucketUnitOf(range) === "hour"
      ? { ...toProtoRange(range), groupBy: [UsageDimension.HOUR, group] }
      : { ...toProtoRange(range), groupBy: [UsageDimension.DAY, group], timeZone: timeZone === "UTC" ? "" : timeZone };
  return useQuery(UsageService.method.getUsage, input, OPTIONS);
}

/** Totals of the range before a range. */
export function useUsageBefore(range: TimeRange) {
  return useQuery(UsageService.method.getUsage, toProtoRange(rangeBefore(range)), OPTIONS);
}

/** Usage of each key with each model. */
export function useUsageByKeyAndModel(range: TimeRange) {
  const input = { ...toProtoRange(range), groupBy: [UsageDimension.KEY, UsageDimension.MODEL] };
  return useQuery(UsageService.method.getUsage, input, OPTIONS);
}
