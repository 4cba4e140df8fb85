import { type Clock, type Id, invalidField } from "@routeplane/domain";
import type { RequestStatus } from "./request.ts";

/** Half-open: `from` counts, `to` does not. */
export interface UsageRange {
  readonly from: Date;
  readonly to: Date;
}

/** Sums over the requests of a range that were not denied; one that is pending counts, at no cost yet. */
export interface AdmittedTotals {
  readonly requestCount: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
}

/** Sums over all requests of a range; those that were denied are in no number but their own. */
export interface UsageTotals extends AdmittedTotals {
  readonly deniedCount: bigint;
  /** Denied requests that have no row in the request log; `deniedCount` includes them. */
  readonly deniedUnloggedCount: bigint;
}

/** What usage can be broken down by: within a namespace, and on the node. */
export type Dimension = "namespace" | "key" | "model" | "provider" | "status" | "hour" | "day";

export interface UsageQuery {
  readonly range: UsageRange;
  /** Empty: one group of everything. */
  readonly groupBy: readonly Dimension[];
  /** Undefined: every key. */
  readonly keyId: string | undefined;
  /** Undefined: every model. */
  readonly model: string | undefined;
}

/** Totals of the requests that are alike in every dimension of the query; of a dimension that was not asked for, undefined. */
export interface UsageGroup extends UsageTotals {
  readonly namespaceId: Id<"ns"> | undefined;
  readonly keyId: Id<"key"> | undefined;
  readonly model: string | undefined;
  readonly provider: string | undefined;
  readonly status: RequestStatus | undefined;
  /** First moment of the hour, in UTC. */
  readonly hour: Date | undefined;
  /** First moment of the day, in UTC. */
  readonly day: Date | undefined;
}

/** More are refused: nobody reads them, and an answer has an end. */
export const MAX_GROUPS = 10_000;

export const NO_USAGE: UsageTotals = {
  requestCount: 0n,
  promptTokens: 0n,
  completionTokens: 0n,
  costNanoUsd: 0n,
  deniedCount: 0n,
  deniedUnloggedCount: 0n,
};

/** What the groups of a query, which have no request in common, amount to. */
export function totalOf(groups: readonly UsageTotals[]): UsageTotals {
  return groups.reduce(
    (sum, group) => ({
      requestCount: sum.requestCount + group.requestCount,
      promptTokens: sum.promptTokens + group.promptTokens,
      completionTokens: sum.completionTokens + group.completionTokens,
      costNanoUsd: sum.costNanoUsd + group.costNanoUsd,
      deniedCount: sum.deniedCount + group.deniedCount,
      deniedUnloggedCount: sum.deniedUnloggedCount + group.deniedUnloggedCount,
    }),
    NO_USAGE,
  );
}

/** What sums are kept of, the shortest first. */
export const SUM_UNITS = ["five minutes", "hour", "day"] as const;
export type SumUnit = (typeof SUM_UNITS)[number];

/** A part of a range that is added to its totals (1), or taken off them again (-1). */
export interface RangePart extends UsageRange {
  readonly sign: 1 | -1;
  /** Of how long the sums are that it is put together from; undefined: from the requests themselves. */
  readonly unit: SumUnit | undefined;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const UNIT_MS: Readonly<Record<SumUnit, number>> = { "five minutes": 5 * 60 * 1000, hour: HOUR_MS, day: DAY_MS };

/**
 * The parts of a range, none of them empty. Either end is taken to the nearest whole one of the shortest unit, and that to the
 * nearest of the next: what is in excess then is taken off again, which is never more than half of a unit. So at most half of
 * the shortest unit is read from the requests at either end, and the totals of any range are exact.
 *
 * @param units in which sums are kept, in the order of `SUM_UNITS`
 */
export function splitRange(range: UsageRange, units: readonly SumUnit[]): readonly RangePart[] {
  const parts: RangePart[] = [];
  let [rest, made]: [UsageRange, SumUnit | undefined] = [range, undefined];
  for (const unit of units) {
    const rounded = nearestUnits(rest, UNIT_MS[unit]);
    if (rounded === undefined) break;
    for (const part of corrections(rest, rounded)) parts.push({ ...part, unit: made });
    [rest, made] = [rounded, unit];
  }
  return [...parts, { ...rest, sign: 1, unit: made }];
}

/** A range that is longer than one unit, with both ends at the nearest whole one; undefined if it is shorter. */
function nearestUnits({ from, to }: UsageRange, unitMs: number): UsageRange | undefined {
  if (to.getTime() - from.getTime() < unitMs) return undefined;
  const nearest = (time: Date): Date => new Date(Math.round(time.getTime() / unitMs) * unitMs);
  return { from: nearest(from), to: nearest(to) };
}

/** What is missing of `range` in `rounded`, and what that has in excess. */
function corrections(range: UsageRange, rounded: UsageRange): readonly Omit<RangePart, "unit">[] {
  const parts: readonly Omit<RangePart, "unit">[] = [
    { from: range.from, to: rounded.from, sign: 1 },
    { from: rounded.from, to: range.from, sign: -1 },
    { from: rounded.to, to: range.to, sign: 1 },
    { from: range.to, to: rounded.to, sign: -1 },
  ];
  return parts.filter(({ from, to }) => from < to);
}

/** The whole days of UTC in a range; undefined if there are none. */
export function wholeDays({ from, to }: UsageRange): UsageRange | undefined {
  const first = Math.ceil(from.getTime() / DAY_MS) * DAY_MS;
  const end = Math.floor(to.getTime() / DAY_MS) * DAY_MS;
  return first < end ? { from: new Date(first), to: new Date(end) } : undefined;
}

const DEFAULT_RANGE_MS = 30 * DAY_MS;
const MIN_TIME_MS = Date.parse("0001-01-01T00:00:00Z");
const MAX_TIME_MS = Date.parse("9999-12-31T23:59:59.999Z");

/**
 * The range that was asked for: 30 days up to `to` if there is no `from`, and up to now if there is no `to`.
 *
 * @throws DomainError INVALID_ARGUMENT if `from` is not before `to`
 */
export function usageRange(from: Date | undefined, to: Date | undefined, clock: Clock): UsageRange {
  const end = inCalendar("to", to ?? new Date(clock()));
  const start = inCalendar("from", from ?? new Date(end.getTime() - DEFAULT_RANGE_MS));
  if (start.getTime() >= end.getTime()) throw invalidField("from", "must be before to");
  return { from: start, to: end };
}

/** The hours of UTC that a range lies in: what can be read without any request. */
export function wholeHours({ from, to }: UsageRange): UsageRange {
  const start = Math.floor(from.getTime() / HOUR_MS) * HOUR_MS;
  return { from: new Date(start), to: new Date(Math.ceil(to.getTime() / HOUR_MS) * HOUR_MS) };
}

/** RFC 3339 has four digits for the year. */
function inCalendar(field: string, time: Date): Date {
  const ms = time.getTime();
  if (ms >= MIN_TIME_MS && ms <= MAX_TIME_MS) return time;
  throw invalidField(field, "must be a time in the years 1 to 9999");
}
