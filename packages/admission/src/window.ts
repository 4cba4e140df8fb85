/** Over which time a budget counts: rolling, except for `total`, which counts for ever. */
export type BudgetWindow = "hour" | "day" | "week" | "month" | "total";

interface Shape {
  /** How far back the window reaches. */
  readonly durationMs: number;
  /** Spend is summed in buckets of this width, aligned to the epoch. */
  readonly bucketMs: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** At most 61 buckets count at any moment (a window's worth, and the one that is leaving it). */
const SHAPES: Readonly<Record<Exclude<BudgetWindow, "total">, Shape>> = {
  hour: { durationMs: HOUR_MS, bucketMs: MINUTE_MS },
  day: { durationMs: DAY_MS, bucketMs: 24 * MINUTE_MS },
  week: { durationMs: 7 * DAY_MS, bucketMs: 3 * HOUR_MS },
  month: { durationMs: 30 * DAY_MS, bucketMs: 12 * HOUR_MS },
};

/** Every window, shortest first. */
export const BUDGET_WINDOWS: readonly BudgetWindow[] = ["hour", "day", "week", "month", "total"];

/** The one bucket of `total`. */
const FOR_EVER_MS = 0;

/**
 * The bucket that takes what is spent at `nowMs`.
 *
 * @param nowMs milliseconds since the epoch, as is the result
 */
export function bucketStart(window: BudgetWindow, nowMs: number): number {
  if (window === "total") return FOR_EVER_MS;
  const { bucketMs } = SHAPES[window];
  return Math.floor(nowMs / bucketMs) * bucketMs;
}

/**
 * The oldest bucket that counts at `nowMs`. A bucket counts whole until all of it is outside the window, so that the sum of
 * the counted buckets is never less than what was spent within the window: it may refuse up to one bucket's width too
 * long, and never admits too much. A bucket that starts later than now (the clock was set back) counts as well.
 *
 * @param nowMs milliseconds since the epoch, as is the result
 */
export function oldestCountedBucket(window: BudgetWindow, nowMs: number): number {
  return window === "total" ? FOR_EVER_MS : bucketStart(window, nowMs - SHAPES[window].durationMs);
}

/**
 * When a bucket counts no more; undefined: never.
 *
 * @param startMs of the bucket; milliseconds since the epoch, as is the result
 */
export function whenBucketLeaves(window: BudgetWindow, startMs: number): number | undefined {
  if (window === "total") return undefined;
  const { durationMs, bucketMs } = SHAPES[window];
  return startMs + bucketMs + durationMs;
}
