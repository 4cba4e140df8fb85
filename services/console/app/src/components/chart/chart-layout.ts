import type { Series } from "./series.ts";
import type { TimeBucket } from "./time-buckets.ts";

/** Minimum height of a segment that is not zero. Pixels. */
const MIN_SEGMENT = 1.5;
/** Fraction of the width of a bucket that its bar takes. */
const BAR_SHARE = 0.8;
/** Maximum width of a bar. Pixels. */
const MAX_BAR = 64;
/** Steps between labels. Each step of hours divides a day. */
const LABEL_STEPS = { hour: [1, 2, 3, 4, 6, 12, 24], day: [1, 2, 3, 7, 14, 30, 60, 120, 360] } as const;

/** Area of the bars within a chart. Pixels. */
export interface PlotArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Part of a bar: one series in one bucket. Pixels. */
interface Segment {
  /** Index of the series. */
  readonly series: number;
  readonly y: number;
  readonly height: number;
}

/** Bar of a bucket within its column. Pixels. */
export interface Column {
  readonly left: number;
  readonly width: number;
  readonly barLeft: number;
  readonly barWidth: number;
  /** Segments from the bottom to the top; empty ones are left out. */
  readonly segments: readonly Segment[];
}

/**
 * Values of the lines of an axis that starts at 0: whole numbers, at steps of 1, 2 or 5 times a power of ten. The last is at least `max`.
 */
export function valueTicks(max: bigint, lines: number): readonly number[] {
  const top = Number(max);
  if (top === 0) return [0];
  const power = 10 ** Math.max(0, Math.floor(Math.log10(top / lines)));
  const step = [1, 2, 5, 10, 20].map((factor) => factor * power).find((candidate) => candidate * lines >= top) ?? top;
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, index) => index * step);
}

/** Stacks the series of each bucket in an area whose height is `scaleTop`. Every amount above zero is visible. */
export function layOutColumns(
  series: readonly Series[],
  bucketCount: number,
  area: PlotArea,
  scaleTop: number,
): readonly Column[] {
  const width = area.width / Math.max(1, bucketCount);
  const barWidth = Math.min(width * BAR_SHARE, MAX_BAR);
  return Array.from({ length: bucketCount }, (_, bucket): Column => {
    const left = area.left + bucket * width;
    const segments: Segment[] = [];
    let bottom = area.top + area.height;
    for (const [index, { values }] of series.entries()) {
      const value = values[bucket] ?? 0n;
      if (value <= 0n) continue;
      const height = Math.max(MIN_SEGMENT, (Number(value) / scaleTop) * area.height);
      bottom -= height;
      segments.push({ series: index, y: bottom, height });
    }
    return { left, width, barLeft: left + (width - barWidth) / 2, barWidth, segments };
  });
}

/** Indexes of the buckets that have a label on the axis, far enough apart that the labels do not touch. */
export function labelledBuckets(
  buckets: readonly TimeBucket[],
  columnWidth: number,
  labelWidth: number,
): readonly number[] {
  const firstDay = Math.max(
    0,
    buckets.findIndex(({ isDayStart }) => isDayStart),
  );
  const steps = buckets.some(({ isDayStart }) => !isDayStart) ? LABEL_STEPS.hour : LABEL_STEPS.day;
  const step = steps.find((candidate) => candidate * columnWidth >= labelWidth) ?? buckets.length;
  return buckets
    .keys()
    .filter((index) => (index - firstDay) % step === 0)
    .toArray();
}
