import { invalidField, isTimeZone, type LocalClock, localClock } from "@routeplane/domain";
import type { LocalDays, UsageRange } from "./usage.ts";

/** Upper bound of the days of one query: those of 27 years. */
export const MAX_DAYS = 10_000;

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
/** Longer than any day, including days in which a time zone skips or repeats hours. */
const LONGEST_DAY_MS = 50 * HOUR_MS;

/**
 * Finds the days of a time zone that a range, extended by an hour at both ends, touches. A day is 23 or 25 hours long if clocks change in
 * it, and begins after midnight if midnight does not exist.
 *
 * @param timeZone IANA name; empty: UTC
 * @returns undefined if the days are those of UTC
 * @throws DomainError INVALID_ARGUMENT for an unknown time zone, or more than `MAX_DAYS` days
 */
export function localDays(range: UsageRange, timeZone: string): LocalDays | undefined {
  if (timeZone === "") return undefined;
  if (!isTimeZone(timeZone)) throw invalidField("time_zone", "must be the name of a time zone, e.g. Europe/Berlin");
  const clock = localClock(timeZone);
  if ((range.to.getTime() - range.from.getTime()) / DAY_MS > MAX_DAYS) {
    throw invalidField("time_zone", `is not taken for a range of more than ${MAX_DAYS} days: ask for less at once`);
  }
  const end = range.to.getTime() + HOUR_MS;
  const first = range.from.getTime() - HOUR_MS;
  const starts = [lastChange(clock, first - LONGEST_DAY_MS, first)];
  for (let start = starts[0] ?? first; start < end; starts.push(start)) start = endOfDay(clock, start);
  return starts.every((start) => start % DAY_MS === 0) ? undefined : starts.map((start) => new Date(start));
}

function endOfDay(clock: LocalClock, start: number): number {
  const next = start + DAY_MS;
  // On most days no clock changes. Otherwise, the last change of date within the longest day is searched for.
  if (clock(start) % DAY_MS === 0 && clock(next) - next === clock(start) - start) return next;
  return firstChange(clock, start, start + LONGEST_DAY_MS);
}

const dateOf = (clock: LocalClock, time: number): number => Math.floor(clock(time) / DAY_MS);

/** Finds the first moment after `from`, up to `to`, whose date differs from that of `from`, if there is one. */
function firstChange(clock: LocalClock, from: number, to: number): number {
  const date = dateOf(clock, from);
  return search(from, to, (time) => dateOf(clock, time) > date);
}

/** Finds the first moment with the date of `to`, if there is another date at `from`. */
function lastChange(clock: LocalClock, from: number, to: number): number {
  const date = dateOf(clock, to);
  return search(from, to, (time) => dateOf(clock, time) === date);
}

/** Finds the moment at which a condition becomes true. It is false at `before` and true at `from`. */
function search(before: number, from: number, holds: (time: number) => boolean): number {
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2);
    if (holds(middle)) from = middle;
    else before = middle;
  }
  return from;
}

/** Stretch of time whose rows are in sums that are counted in an adjacent day. */
export interface MisplacedStretch extends UsageRange {
  readonly day: Date;
  readonly wrongDay: Date;
}

/** Lists the stretches between the starts of days and the rounded ones, within the range of the sums. */
export function misplacedStretches(
  days: LocalDays,
  rounded: LocalDays,
  range: UsageRange,
): readonly MisplacedStretch[] {
  return days.flatMap((start, index) => {
    const [before, nearest] = [days[index - 1], rounded[index]];
    if (before === undefined || nearest === undefined) return [];
    const [from, to] = start < nearest ? [start, nearest] : [nearest, start];
    const [day, wrongDay] = start < nearest ? [start, before] : [before, start];
    return from < to && from >= range.from && to <= range.to ? [{ from, to, day, wrongDay }] : [];
  });
}
