import { type Clock, invalidField } from "@routeplane/domain";

/** Half-open: `from` counts, `to` does not. */
export interface UsageRange {
  readonly from: Date;
  readonly to: Date;
}

/** Sums over the requests of a range that were not denied; one that is pending counts, at no cost yet. */
export interface UsageTotals {
  readonly requestCount: bigint;
  readonly promptTokens: bigint;
  readonly completionTokens: bigint;
  readonly costNanoUsd: bigint;
}

const DEFAULT_RANGE_MS = 30 * 24 * 60 * 60 * 1000;
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

/** RFC 3339 has four digits for the year. */
function inCalendar(field: string, time: Date): Date {
  const ms = time.getTime();
  if (ms >= MIN_TIME_MS && ms <= MAX_TIME_MS) return time;
  throw invalidField(field, "must be a time in the years 1 to 9999");
}
