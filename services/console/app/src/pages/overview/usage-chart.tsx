import type { GetUsageResponse } from "@routeplane/contracts/usage";
import { useLocation } from "wouter";
import { TimeBarChart } from "../../components/chart/time-bar-chart.tsx";
import { bucketUnitOf, MAX_BUCKETS, timeBuckets } from "../../components/chart/time-buckets.ts";
import { usageSeries } from "../../components/chart/usage-series.ts";
import { EmptyState } from "../../components/empty-state.tsx";
import { formatCount } from "../../format/money.ts";
import { fromProtoRange } from "../../format/time-range.ts";
import { type DimensionName, DIMENSIONS } from "./dimensions.ts";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { requestsLink } from "./requests-link.ts";

interface UsageChartProps {
  /** Usage by hour or day and by the dimension. */
  readonly usage: GetUsageResponse;
  readonly measure: MeasureName;
  readonly by: DimensionName;
  readonly timeZone: string;
  /** Name of a value of the dimension. */
  readonly nameOf: (id: string) => string;
}

/** Chart of a measure over time, stacked by a dimension. A bar links to its requests. */
export function UsageChart({ usage, measure, by, timeZone, nameOf }: UsageChartProps) {
  const [, navigate] = useLocation();
  const { title, format, formatTick } = MEASURES[measure];
  // The range that was read: its bars stay while another one is read.
  const range = fromProtoRange(usage);
  const buckets = timeBuckets(range, bucketUnitOf(range), timeZone);
  if ((buckets.at(-1)?.to ?? range.to) < range.to) {
    return (
      <EmptyState
        title={`This range has more than ${formatCount(MAX_BUCKETS)} days. Choose a shorter one to see it over time.`}
      />
    );
  }
  return (
    <TimeBarChart
      caption={`${title} by ${by}`}
      buckets={buckets}
      series={usageSeries(usage.groups, { buckets, measure, idOf: DIMENSIONS[by].idOf, nameOf })}
      format={format}
      formatTick={formatTick}
      onSelect={(bucket, series) => navigate(requestsLink(bucket, measure, by, series?.id))}
    />
  );
}
