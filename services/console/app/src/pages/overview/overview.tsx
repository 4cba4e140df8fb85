import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, type UsageGroup, UsageService } from "@routeplane/contracts/usage";
import { useLocation } from "wouter";
import { toSeries } from "../../components/chart/series.ts";
import { TimeBarChart } from "../../components/chart/time-bar-chart.tsx";
import { bucketIndexOf, bucketUnitOf, timeBuckets } from "../../components/chart/time-buckets.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { ErrorNotice } from "../../components/error-notice.tsx";
import { NeedsScope } from "../../components/needs-scope.tsx";
import { Page } from "../../components/page.tsx";
import { RangePicker } from "../../components/range-picker.tsx";
import { Section } from "../../components/section.tsx";
import { Skeleton } from "../../components/skeleton.tsx";
import { formatShortUsd, formatUsd } from "../../format/money.ts";
import { fromTimestamp } from "../../format/time.ts";
import { type TimeRange, timeRangeOf, toProtoRange } from "../../format/time-range.ts";
import { useNow } from "../../format/use-now.ts";
import { useFilters } from "../../format/use-filters.ts";
import { useKeys } from "../../rpc/use-key-names.ts";

/** Overview: spend, requests and tokens over time, and where budgets stand. */
export default function Overview() {
  const [filters, change] = useFilters(["range", "from", "to"]);
  const range = timeRangeOf(filters, useNow());
  return (
    <Page title="Overview" actions={<RangePicker filters={filters} onChange={change} />}>
      <NeedsScope scope="usage:read">
        <Section title="Spend by key">
          <SpendByKey range={range} />
        </Section>
      </NeedsScope>
    </Page>
  );
}

function SpendByKey({ range }: { readonly range: TimeRange }) {
  const keys = useKeys();
  const [, navigate] = useLocation();
  const unit = bucketUnitOf(range);
  const dimension = unit === "hour" ? UsageDimension.HOUR : UsageDimension.DAY;
  const input = { ...toProtoRange(range), groupBy: [dimension, UsageDimension.KEY] };
  const { data, error, refetch } = useQuery(UsageService.method.getUsage, input);
  const buckets = timeBuckets(range, unit, "UTC");
  if (error !== null) return <ErrorNotice error={error} what="Usage cannot be read." onRetry={refetch} />;
  if (data === undefined) return <Skeleton />;
  if (data.groups.length === 0) return <EmptyState title="No requests in this range." />;
  const toPoint = ({ keyId: id, hour, day, spendMicroUsd: value }: UsageGroup) => ({
    id,
    bucket: bucketIndexOf(buckets, fromTimestamp(hour ?? day) ?? range.from),
    value,
  });
  return (
    <TimeBarChart
      caption="Spend by key"
      buckets={buckets}
      series={toSeries(data.groups.map(toPoint), buckets.length, (id) => keys.get(id)?.name ?? id)}
      format={formatUsd}
      formatTick={formatShortUsd}
      onSelect={({ from, to }, series) =>
        navigate(
          `/requests?${new URLSearchParams({
            from: from.toISOString(),
            to: to.toISOString(),
            ...(series?.id !== undefined && { key: series.id }),
          })}`,
        )
      }
    />
  );
}
