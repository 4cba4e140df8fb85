import { useQuery } from "@connectrpc/connect-query";
import { UsageAdminService, UsageDimension } from "@routeplane/contracts/usage";
import { toSeries } from "../../components/chart/series.ts";
import { TimeBarChart } from "../../components/chart/time-bar-chart.tsx";
import { bucketIndexOf, bucketUnitOf, timeBuckets } from "../../components/chart/time-buckets.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { fromTimestamp } from "../../format/time.ts";
import { type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";

interface NodeUsageProps {
  readonly range: TimeRange;
  readonly measure: MeasureName;
  readonly nameOf: (namespaceId: string) => string;
}

/** Usage of the node over time, stacked by namespace. It reads sums of whole hours: the first bar can begin before the range. */
export function NodeUsage({ range, measure, nameOf }: NodeUsageProps) {
  const [timeZone] = useTimeZone();
  const unit = bucketUnitOf(range);
  const { data, error, refetch } = useQuery(
    UsageAdminService.method.getNodeUsage,
    {
      ...toProtoRange(range),
      groupBy: [unit === "hour" ? UsageDimension.HOUR : UsageDimension.DAY],
      timeZone: timeZone === "UTC" ? "" : timeZone,
    },
    { placeholderData: (previous) => previous },
  );
  if (error !== null) return <ErrorNotice error={error} what="Usage of the node cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={8} />;
  if (data.groups.length === 0) return <EmptyState title="No requests in this range, in any namespace." />;
  const { title, valueOf, format, formatTick } = MEASURES[measure];
  const buckets = timeBuckets(range, unit, timeZone);
  const points = data.groups.flatMap(({ namespaceId, usage }) =>
    usage === undefined
      ? []
      : {
          id: namespaceId,
          bucket: bucketIndexOf(buckets, fromTimestamp(usage.hour ?? usage.day) ?? range.from),
          value: valueOf(usage),
        },
  );
  return (
    <TimeBarChart
      caption={`${title} by namespace`}
      buckets={buckets}
      series={toSeries(points, buckets.length, nameOf)}
      format={format}
      formatTick={formatTick}
    />
  );
}
