import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { UsageGroup } from "@routeplane/contracts/usage";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { formatCount } from "../../format/money.ts";
import { fromProtoRange } from "../../format/time-range.ts";
import { EmptyState } from "../empty-state.tsx";
import type { Series } from "./series.ts";
import { TimeBarChart } from "./time-bar-chart.tsx";
import { MAX_BUCKETS, type TimeBucket, timeBuckets } from "./time-buckets.ts";
import { usageSeries } from "./usage-series.ts";

interface UsageChartProps {
  /** Name of the dimension by which the bars are stacked, e.g. `model`. */
  readonly by: string;
  /** Range of the response: its bars stay while another range is read. */
  readonly range: { readonly from?: Timestamp | undefined; readonly to?: Timestamp | undefined };
  /** Groups of the response, by hour or day and the dimension. */
  readonly groups: readonly UsageGroup[];
  readonly measure: MeasureName;
  /** Time zone in which the days were read. */
  readonly timeZone: string;
  /** Value of the dimension. */
  readonly idOf: (group: UsageGroup) => string;
  /** Name of a value. */
  readonly nameOf: (id: string) => string;
  /** Called when a bar, or one series of it, is chosen by pointer or keyboard. Absent: bars cannot be chosen. */
  readonly onSelect?: (bucket: TimeBucket, series: Series | undefined) => void;
}

/** Chart of a measure of usage over time, stacked by a dimension. */
export function UsageChart({ by, range, groups, measure, timeZone, idOf, nameOf, onSelect }: UsageChartProps) {
  const { title, format, formatTick } = MEASURES[measure];
  const read = fromProtoRange(range);
  const unit = groups.some(({ hour }) => hour !== undefined) ? "hour" : "day";
  const buckets = timeBuckets(read, unit, timeZone);
  if ((buckets.at(-1)?.to ?? read.to) < read.to) {
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
      series={usageSeries(groups, { buckets, measure, idOf, nameOf })}
      format={format}
      formatTick={formatTick}
      {...(onSelect !== undefined && { onSelect })}
    />
  );
}
