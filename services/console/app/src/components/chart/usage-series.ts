import type { UsageGroup } from "@routeplane/contracts/usage";
import { type MeasureName, MEASURES } from "../../format/measures.ts";
import { fromTimestamp } from "../../format/time.ts";
import { type Series, SERIES_TO_READ, toSeries } from "./series.ts";
import { bucketIndexOf, type TimeBucket } from "./time-buckets.ts";

/** Fields of a usage request: the largest values by a measure, as many as a chart shows separately, and the rest as one sum. */
export function largestBy(measure: MeasureName) {
  return { largest: SERIES_TO_READ, largestBy: MEASURES[measure].usageMeasure };
}

interface UsageSeriesOptions {
  readonly buckets: readonly TimeBucket[];
  readonly measure: MeasureName;
  /** Value of the dimension by which the groups are stacked. */
  readonly idOf: (group: UsageGroup) => string;
  readonly nameOf: (id: string) => string;
}

/**
 * Time by which a day of a group can begin before the day: sums of whole hours are added up from the hour that is nearest to its midnight,
 * e.g. 18:00 UTC for 18:15 in Kathmandu. Milliseconds.
 */
const HALF_HOUR_MS = 1_800_000;

/** Converts groups of usage, by time and one dimension, to series. */
export function usageSeries(
  groups: readonly UsageGroup[],
  { buckets, measure, idOf, nameOf }: UsageSeriesOptions,
): readonly Series[] {
  const points = groups.map((group) => {
    const start = fromTimestamp(group.hour ?? group.day);
    return {
      id: group.restCount > 0n ? undefined : idOf(group),
      bucket: start === undefined ? 0 : bucketIndexOf(buckets, new Date(start.getTime() + HALF_HOUR_MS)),
      value: MEASURES[measure].valueOf(group),
    };
  });
  return toSeries(points, buckets.length, nameOf);
}
