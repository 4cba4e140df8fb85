import { type Clock, type Id, invalidField } from "@routeplane/domain";
import { addLatencies, type Latencies, NO_LATENCIES } from "./latency.ts";
import type { RequestStatus } from "./request.ts";

/** Half-open range of time: from `from` until before `to`. */
export interface UsageRange {
  readonly from: Date;
  readonly to: Date;
}

/** Sums over the requests of a range, without denied ones. A pending request counts, at no cost yet. */
export interface AdmittedTotals {
  readonly requestCount: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
}

/** Sums over all requests of a range. Denied ones count only in `deniedCount` and `deniedUnloggedCount`. */
export interface UsageTotals extends AdmittedTotals {
  readonly deniedCount: bigint;
  /** Number of denied requests without a row in the request log; `deniedCount` includes them. */
  readonly deniedUnloggedCount: bigint;
  /** Latencies of the requests that ended; empty unless the query requests them. */
  readonly latencies: Latencies;
}

/** Dimension that usage can be grouped by. */
export type Dimension = "namespace" | "key" | "model" | "provider" | "status" | "hour" | "day";

/** Dimensions of time. Values of the other dimensions, or their combinations, can be summed as a rest. */
export const TIME_DIMENSIONS: readonly Dimension[] = ["day", "hour"];

/** Amount by which values are compared. */
export type Measure = "spend" | "requests" | "tokens" | "denied";

/** Number of values, or combinations of values, with groups of their own: those with the largest amounts in the range. */
export interface Largest {
  readonly count: number;
  readonly by: Measure;
}

/** Days of a time zone: their first moments, ascending; each is also the end of the previous day. */
export type LocalDays = readonly Date[];

export interface UsageQuery {
  readonly range: UsageRange;
  /** Empty: one group of everything. */
  readonly groupBy: readonly Dimension[];
  /** Undefined: every key. */
  readonly keyId: string | undefined;
  /** Undefined: every model. */
  readonly model: string | undefined;
  /** Undefined: every provider. */
  readonly provider: string | undefined;
  /** Days of the dimension `day`, which cover the whole range; undefined: days of UTC. */
  readonly days: LocalDays | undefined;
  /** True to read latencies, which takes longer. */
  readonly withLatencies: boolean;
  /** Values with groups of their own, while all others form one group; undefined: every value. Needs a dimension other than time. */
  readonly largest: Largest | undefined;
}

/** Totals of the requests that have the same value in every dimension of the query. Other dimensions are undefined. */
export interface UsageGroup extends UsageTotals {
  readonly namespaceId: Id<"ns"> | undefined;
  readonly keyId: Id<"key"> | undefined;
  readonly model: string | undefined;
  readonly provider: string | undefined;
  readonly status: RequestStatus | undefined;
  /** First moment of the hour, in UTC. */
  readonly hour: Date | undefined;
  /** First moment of the day. */
  readonly day: Date | undefined;
  /** Number of values of the rest over the whole range, if this is a group of the rest; otherwise 0. */
  readonly restCount: bigint;
}

/**
 * Converts the parameters of a query. @param count of 0 means every value
 *
 * @throws DomainError INVALID_ARGUMENT unless a dimension has values to compare
 */
export function largestOf(count: number, by: Measure, groupBy: readonly Dimension[]): Largest | undefined {
  if (count === 0) return undefined;
  if (groupBy.some((dimension) => !TIME_DIMENSIONS.includes(dimension))) return { count, by };
  throw invalidField("largest", "needs a dimension in group_by that is neither hour nor day");
}

/** Upper bound of the groups of one query. */
export const MAX_GROUPS = 10_000;

export const NO_USAGE: UsageTotals = {
  requestCount: 0n,
  promptTokens: 0n,
  completionTokens: 0n,
  costNanoUsd: 0n,
  deniedCount: 0n,
  deniedUnloggedCount: 0n,
  latencies: NO_LATENCIES,
};

/** Adds up the groups of a query, which have no request in common. */
export function totalOf(groups: readonly UsageTotals[]): UsageTotals {
  return groups.reduce(
    (sum, group) => ({
      requestCount: sum.requestCount + group.requestCount,
      promptTokens: sum.promptTokens + group.promptTokens,
      completionTokens: sum.completionTokens + group.completionTokens,
      costNanoUsd: sum.costNanoUsd + group.costNanoUsd,
      deniedCount: sum.deniedCount + group.deniedCount,
      deniedUnloggedCount: sum.deniedUnloggedCount + group.deniedUnloggedCount,
      latencies: addLatencies(sum.latencies, group.latencies),
    }),
    NO_USAGE,
  );
}

/** Lengths of time that sums are stored for, the shortest first. */
export const SUM_UNITS = ["five minutes", "hour", "day"] as const;
export type SumUnit = (typeof SUM_UNITS)[number];

/** Part of a range that is added to its totals (1) or subtracted from them (-1). */
export interface RangePart extends UsageRange {
  readonly sign: 1 | -1;
  /** Unit of the sums that it is read from; undefined: it is read from the requests. */
  readonly unit: SumUnit | undefined;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const UNIT_MS: Readonly<Record<SumUnit, number>> = { "five minutes": 5 * 60 * 1000, hour: HOUR_MS, day: DAY_MS };

/**
 * Splits a range into parts, none of them empty. Each end is rounded to the nearest multiple of the shortest unit, and the result to the
 * nearest multiple of the next unit, and so on. The excess, at most half a unit, is subtracted again. So at most half of the shortest unit
 * is read from the requests at either end, and the totals of any range are exact.
 *
 * @param units of the stored sums, in the order of `SUM_UNITS`
 */
export function splitRange(range: UsageRange, units: readonly SumUnit[]): readonly RangePart[] {
  const parts: RangePart[] = [];
  let [rest, restUnit]: [UsageRange, SumUnit | undefined] = [range, undefined];
  for (const unit of units) {
    const rounded = nearestUnits(rest, UNIT_MS[unit]);
    if (rounded === undefined) break;
    for (const part of corrections(rest, rounded)) parts.push({ ...part, unit: restUnit });
    [rest, restUnit] = [rounded, unit];
  }
  return [...parts, { ...rest, sign: 1, unit: restUnit }];
}

/** Rounds both ends of a range to the nearest multiple of a unit; undefined if the range is shorter than one. */
function nearestUnits({ from, to }: UsageRange, unitMs: number): UsageRange | undefined {
  if (to.getTime() - from.getTime() < unitMs) return undefined;
  return { from: nearest(from, unitMs), to: nearest(to, unitMs) };
}

const nearest = (time: Date, unitMs: number): Date => new Date(Math.round(time.getTime() / unitMs) * unitMs);

/** Rounds the starts of days to the nearest multiple of a unit, as the ends of ranges are rounded. */
export function roundDays(days: LocalDays, unit: SumUnit): LocalDays {
  return days.map((start) => nearest(start, UNIT_MS[unit]));
}

/** Lists the parts of `range` that `rounded` lacks (1), and the parts of `rounded` outside `range` (-1). */
function corrections(range: UsageRange, rounded: UsageRange): readonly Omit<RangePart, "unit">[] {
  const parts: readonly Omit<RangePart, "unit">[] = [
    { from: range.from, to: rounded.from, sign: 1 },
    { from: rounded.from, to: range.from, sign: -1 },
    { from: rounded.to, to: range.to, sign: 1 },
    { from: range.to, to: rounded.to, sign: -1 },
  ];
  return parts.filter(({ from, to }) => from < to);
}

/** Returns the start of the day of UTC. */
export function startOfDay(time: Date): Date {
  return new Date(Math.floor(time.getTime() / DAY_MS) * DAY_MS);
}

/** Returns the start of the hour of UTC. */
export function startOfHour(time: Date): Date {
  return new Date(Math.floor(time.getTime() / HOUR_MS) * HOUR_MS);
}

/** Returns the whole days of UTC within a range; undefined if there are none. */
export function wholeDays({ from, to }: UsageRange): UsageRange | undefined {
  const first = Math.ceil(from.getTime() / DAY_MS) * DAY_MS;
  const end = Math.floor(to.getTime() / DAY_MS) * DAY_MS;
  return first < end ? { from: new Date(first), to: new Date(end) } : undefined;
}

const DEFAULT_RANGE_MS = 30 * DAY_MS;
const MIN_TIME_MS = Date.parse("0001-01-01T00:00:00Z");
const MAX_TIME_MS = Date.parse("9999-12-31T23:59:59.999Z");

/**
 * Completes a range: `from` is 30 days before `to` by default, and `to` is now.
 *
 * @throws DomainError INVALID_ARGUMENT if `from` is not before `to`
 */
export function usageRange(from: Date | undefined, to: Date | undefined, clock: Clock): UsageRange {
  const end = inCalendar("to", to ?? new Date(clock()));
  const start = inCalendar("from", from ?? new Date(end.getTime() - DEFAULT_RANGE_MS));
  if (start.getTime() >= end.getTime()) throw invalidField("from", "must be before to");
  return { from: start, to: end };
}

/** Extends a range to whole hours of UTC, which can be read from sums alone. The last hour of year 9999 is left out: no time after it can be written. */
export function wholeHours({ from, to }: UsageRange): UsageRange {
  const end = Math.ceil(to.getTime() / HOUR_MS) * HOUR_MS;
  return { from: startOfHour(from), to: end <= MAX_TIME_MS ? new Date(end) : startOfHour(new Date(MAX_TIME_MS)) };
}

/** Requires a year of four digits, as RFC 3339 has them. @throws DomainError INVALID_ARGUMENT */
function inCalendar(field: string, time: Date): Date {
  const ms = time.getTime();
  if (ms >= MIN_TIME_MS && ms <= MAX_TIME_MS) return time;
  throw invalidField(field, "must be a time in the years 1 to 9999");
}
