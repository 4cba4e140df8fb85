import type { TimeRange } from "../../format/time-range.ts";

/** Length of the buckets of a chart over time. */
export type BucketUnit = "hour" | "day";

/** Part of a range: an hour of UTC or a day of a time zone, cut off at the ends of the range. Labels are in the time zone. */
export interface TimeBucket extends TimeRange {
  /** Full text, e.g. `Mon 30 Nov 2026, 14:00–15:00`. */
  readonly label: string;
  /** Short text for an axis: `14:00`, or `30 Nov` for a day and for the first hour of a day. */
  readonly tick: string;
  /** True for a day, and for the first hour of a day. */
  readonly isDayStart: boolean;
}

const HOUR_MS = 3_600_000;
/** Maximum length of a range with buckets of hours. Milliseconds. */
const MAX_HOURS_MS = 48 * HOUR_MS;
/** Step of the search for the start of a day: every offset from UTC is a multiple of it. Milliseconds. */
const QUARTER_MS = 900_000;
/** Time after the start of a day in which no other day starts: days have 23 to 25 hours. Milliseconds. */
const SAFE_DAY_MS = 22 * 3_600_000;

/** Maximum number of buckets of a range, as a chart can draw and a read can return them. */
export const MAX_BUCKETS = 1_000;

/** Hours for ranges of up to two days, else days. */
export function bucketUnitOf({ from, to }: TimeRange): BucketUnit {
  return to.getTime() - from.getTime() <= MAX_HOURS_MS ? "hour" : "day";
}

/**
 * Buckets of a range, without gaps, in order. The first and the last are cut off at the ends of the range; buckets beyond MAX_BUCKETS are
 * left out.
 */
export function timeBuckets({ from, to }: TimeRange, unit: BucketUnit, timeZone: string): readonly TimeBucket[] {
  const clock = new LocalClock(timeZone);
  const end = to.getTime();
  const buckets: TimeBucket[] = [];
  let start = from.getTime();
  while (start < end && buckets.length < MAX_BUCKETS) {
    const next = unit === "hour" ? nextMultiple(start, HOUR_MS) : clock.nextDay(start);
    buckets.push(describe({ from: new Date(start), to: new Date(Math.min(next, end)) }, unit, clock));
    start = next;
  }
  return buckets;
}

/** Index of the bucket that a time belongs to: the last one that has begun, else the first. */
export function bucketIndexOf(buckets: readonly TimeBucket[], time: Date): number {
  let low = 0;
  let high = buckets.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((buckets[middle]?.from.getTime() ?? Infinity) <= time.getTime()) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Local clock of a time zone. */
class LocalClock {
  readonly #day: Intl.DateTimeFormat;
  readonly #weekday: Intl.DateTimeFormat;
  readonly #time: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    this.#day = new Intl.DateTimeFormat("en-GB", { timeZone, day: "numeric", month: "short", year: "numeric" });
    this.#weekday = new Intl.DateTimeFormat("en-GB", { timeZone, weekday: "short" });
    this.#time = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }

  /** First moment after a time at which a day starts. */
  nextDay(after: number): number {
    const day = this.day(after);
    const safe = this.day(after - QUARTER_MS) === day ? 0 : SAFE_DAY_MS;
    let next = nextMultiple(after + safe, QUARTER_MS);
    while (this.day(next) === day) next += QUARTER_MS;
    return next;
  }

  /** Date, e.g. `30 Nov 2026`. */
  day(time: number): string {
    return this.#day.format(time);
  }

  /** Date with its day of the week, e.g. `Mon 30 Nov 2026`. */
  weekday(time: number): string {
    return `${this.#weekday.format(time)} ${this.day(time)}`;
  }

  /** Time of day, e.g. `14:00`. */
  time(time: number): string {
    return this.#time.format(time);
  }
}

function nextMultiple(after: number, step: number): number {
  return Math.floor(after / step) * step + step;
}

function describe({ from, to }: TimeRange, unit: BucketUnit, clock: LocalClock): TimeBucket {
  const [start, end] = [from.getTime(), to.getTime()];
  const isDayStart = unit === "day" || clock.day(start) !== clock.day(start - HOUR_MS);
  const day = clock.weekday(start);
  return {
    from,
    to,
    isDayStart,
    label:
      unit === "hour" ? `${day}, ${clock.time(start)}–${clock.time(end)}` : `${day}${partOfDay(start, end, clock)}`,
    tick: isDayStart ? clock.day(start).replace(/ \d+$/, "") : clock.time(start),
  };
}

/** Text for the part of a day that a bucket covers; empty for a whole day. */
function partOfDay(start: number, end: number, clock: LocalClock): string {
  const parts = [
    clock.day(start) === clock.day(start - 1) && `from ${clock.time(start)}`,
    clock.day(end) === clock.day(end - 1) && `until ${clock.time(end)}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}
