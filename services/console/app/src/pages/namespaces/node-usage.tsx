import { useQuery } from "@connectrpc/connect-query";
import { UsageAdminService, UsageDimension, type UsageGroup } from "@routeplane/contracts/usage";
import { bucketUnitOf } from "../../components/chart/time-buckets.ts";
import { UsageChart } from "../../components/chart/usage-chart.tsx";
import { largestBy } from "../../components/chart/usage-series.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import type { MeasureName } from "../../format/measures.ts";
import { type TimeRange, toProtoRange } from "../../format/time-range.ts";
import { useTimeZone } from "../../format/use-time-zone.ts";

interface NodeUsageProps {
  readonly range: TimeRange;
  readonly measure: MeasureName;
  readonly nameOf: (namespaceId: string) => string;
}

/** Usage of the node over time, stacked by namespace. It reads sums of whole hours, so the first bar can begin before the range. */
export function NodeUsage(props: NodeUsageProps) {
  const [timeZone] = useTimeZone();
  // Days that were read in another time zone are not shown.
  return <UsageInZone key={timeZone} {...props} timeZone={timeZone} />;
}

function UsageInZone({ range, measure, nameOf, timeZone }: NodeUsageProps & { readonly timeZone: string }) {
  const { data, isPlaceholderData, error, refetch } = useQuery(
    UsageAdminService.method.getNodeUsage,
    {
      ...toProtoRange(range),
      groupBy: [bucketUnitOf(range) === "hour" ? UsageDimension.HOUR : UsageDimension.DAY],
      ...largestBy(measure),
      timeZone: timeZone === "UTC" ? "" : timeZone,
    },
    { placeholderData: (previous) => previous },
  );
  if (error !== null) return <ErrorNotice error={error} what="Usage of the node cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton lines={8} />;
  if (data.groups.length === 0) return <EmptyState title="No requests in this range, in any namespace." />;
  const namespaces = new Map(data.groups.map(({ usage, namespaceId }) => [usage, namespaceId]));
  const groups = data.groups.flatMap(({ usage }) => usage ?? []);
  const idOf = (usage: UsageGroup): string => namespaces.get(usage) ?? "";
  return (
    <div aria-busy={isPlaceholderData}>
      <UsageChart by="namespace" range={data} {...{ groups, measure, timeZone, idOf, nameOf }} />
    </div>
  );
}
