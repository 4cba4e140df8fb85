import { localDayAt, startOfLocalDay } from "@routeplane/domain";

/** Length of a rolling window in buckets. */
export const WINDOW_BUCKETS = 100;

/** Most buckets of a calendar window: the days of a month. */
const MONTH_BUCKETS = 31;

const DAY_MS = 86_400_000;

/** Buckets of equal width, of which a rolling window has a hundred. Bucket `n` covers `[n * bucketMs, (n + 1) * bucketMs)`. */
export interface RollingScale {
  readonly kind: "rolling";
  readonly bucketMs: number;
}

/** One bucket for all time: what was counted never leaves the window. */
export interface EndlessScale {
  readonly kind: "endless";
}

/** Days of a time zone, numbered from 1970-01-01. The window is the present day, or the present month up to now. */
export interface CalendarScale {
  readonly kind: "calendar_day" | "calendar_month";
  readonly timeZone: string;
}

/** Division of time into numbered buckets, and the rule for which buckets a window covers. Moments are milliseconds since the epoch. */
export type Scale = RollingScale | EndlessScale | CalendarScale;

export const ENDLESS: EndlessScale = { kind: "endless" };

export function rollingScale(bucketMs: number): RollingScale {
  return { kind: "rolling", bucketMs };
}

/** Returns true if two scales have the same buckets, although their windows may cover different ones. */
export function haveSameBuckets(a: Scale, b: Scale): boolean {
  if (a.kind === "rolling") return b.kind === "rolling" && a.bucketMs === b.bucketMs;
  if (a.kind === "endless") return b.kind === "endless";
  return "timeZone" in b && a.timeZone === b.timeZone;
}

/** Number of buckets that a ring keeps: all of a window, and the one that is leaving it. */
export function keptBuckets({ kind }: Scale): number {
  if (kind === "endless") return 1;
  return kind === "rolling" ? WINDOW_BUCKETS + 1 : MONTH_BUCKETS + 1;
}

export function bucketAt(scale: Scale, ms: number): number {
  if (scale.kind === "endless") return 0;
  return scale.kind === "rolling" ? Math.floor(ms / scale.bucketMs) : localDayAt(ms, scale.timeZone);
}

export function startOfBucket(scale: Scale, bucket: number): number {
  if (scale.kind === "endless") return 0;
  return scale.kind === "rolling" ? bucket * scale.bucketMs : startOfLocalDay(bucket, scale.timeZone);
}

/** Oldest bucket of the window that ends at `nowMs`. */
export function oldestBucket(scale: Scale, nowMs: number): number {
  const newest = bucketAt(scale, nowMs);
  switch (scale.kind) {
    case "endless":
    case "calendar_day":
      return newest;
    case "calendar_month":
      return firstOfMonth(newest, 0);
    case "rolling":
      return newest - WINDOW_BUCKETS;
  }
}

/** First moment at which the window no longer covers a bucket; undefined if it always does. */
export function leavesAt(scale: Scale, bucket: number): number | undefined {
  switch (scale.kind) {
    case "endless":
      return undefined;
    case "calendar_day":
      return startOfLocalDay(bucket + 1, scale.timeZone);
    case "calendar_month":
      return startOfLocalDay(firstOfMonth(bucket, 1), scale.timeZone);
    case "rolling":
      return (bucket + 1 + WINDOW_BUCKETS) * scale.bucketMs;
  }
}

/** Number of the first day of the month that is `monthsLater` months after the month of `day`. */
function firstOfMonth(day: number, monthsLater: number): number {
  const date = new Date(day * DAY_MS);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + monthsLater, 1) / DAY_MS;
}
