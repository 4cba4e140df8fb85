import { useQuery } from "@connectrpc/connect-query";
import { UsageAdminService, UsageDimension, type UsageGroup } from "@routeplane/contracts/usage";
import { TimeBarChart } from "../../components/chart/time-bar-chart.tsx";
import { bucketUnitOf, timeBuckets } from "../../components/chart/time-buckets.ts";
import { largestBy, usageSeries } from "../../components/chart/usage-series.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";

interface NodeUsageProps {
  readonly range: TimeRange;
  readonly measure: MeasureName;
  readonly nameOf: (namespaceId: string) => string;
}

/** Usage of the node over time, stacked by namespace. It reads sums of whole hours, so the first bar can begin before the range. */
export function NodeUsage({ range, measure, nameOf }: NodeUsageProps) {
  const [timeZone] = useTimeZone();
  const unit = bucketUnitOf(range);
  const { data, isPlaceholderData, error, refetch } = useQuery(
    UsageAdminService.method.getNodeUsage,
    {
      ...toProtoRange(range),
      groupBy: [unit === "hour" ? UsageDimension.HOUR : UsageDimension.DAY],
      ...largestBy(measure),
      timeZone: timeZone === "UTC" ? "" : timeZone,
    },
    { placeholderData: (previous) => previous },
  );
  if (error !== null) return <ErrorNotice error={error} what="Usage of the node cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={8} />;
  if (data.groups.length === 0) return <EmptyState title="No requests in this range, in any namespace." />;
  const { title, format, formatTick } = MEASURES[measure];
  const buckets = timeBuckets(range, unit, timeZone);
  const namespaces = new Map(data.groups.map(({ usage, namespaceId }) => [usage, namespaceId]));
  const groups = data.groups.flatMap(({ usage }) => usage ?? []);
  const idOf = (usage: UsageGroup): string => namespaces.get(usage) ?? "";
  return (
    <div aria-busy={isPlaceholderData}>
      <TimeBarChart
        caption={`${title} by namespace`}
        buckets={buckets}
        series={usageSeries(groups, { buckets, measure, idOf, nameOf })}
        format={format}
        formatTick={formatTick}
      />
    </div>
  );
}
