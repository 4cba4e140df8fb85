import { addToRing, emptyRing, type Ring, resizeRing, subtractFromRing } from "./ring.ts";
import { budgetBucketMs, type BudgetWindow, rateBucketMs } from "./window.ts";

/** Settled and reserved together never exceed it within the window. */
export interface BudgetLimit {
  readonly window: BudgetWindow;
  readonly limitNano: bigint;
}

/** What may be admitted within a sliding window, and at the same time. Absent: as much as there is. */
export interface RateLimit {
  readonly windowSecs: number;
  readonly maxRequests?: bigint;
  readonly maxTokens?: bigint;
  readonly maxConcurrent?: bigint;
}

/** What one binding limits; a preset may have both. */
export interface Limits {
  readonly budget?: BudgetLimit | undefined;
  readonly rateLimit?: RateLimit | undefined;
}

/** What the limits of one binding have counted. Undefined: nothing yet. */
export interface Counter {
  /** Held for requests under way. Nano-USD. */
  readonly reservedNano: bigint;
  /** Requests under way. */
  readonly openReservations: bigint;
  /** Settled. Nano-USD. */
  readonly spend: Ring | undefined;
  /** Admitted. */
  readonly requests: Ring | undefined;
  /** Input and output: their bounds from admission on, what was used from settlement on. */
  readonly tokens: Ring | undefined;
}

export const EMPTY_COUNTER: Counter = {
  reservedNano: 0n,
  openReservations: 0n,
  spend: undefined,
  requests: undefined,
  tokens: undefined,
};

/** What an admission takes. */
export interface Reservation {
  /** Nano-USD. */
  readonly reservedNano: bigint;
  /** Input and output bound together. */
  readonly tokens: bigint;
}

/** What closing a hold does to the counters that it is on. An amount < 0 takes back part of what was counted at that moment. */
export interface ReservationEnd {
  /** Taken off what is reserved. Nano-USD. */
  readonly releaseNano: bigint;
  readonly charge: DatedAmount | undefined;
  readonly tokens: DatedAmount | undefined;
  readonly requests: DatedAmount | undefined;
  /** Whether a request is under way no more. */
  readonly freesSlot: boolean;
}

export interface DatedAmount {
  readonly amount: bigint;
  readonly atMs: number;
}

/** With its windows as the limits have them now: editing a limit keeps what was counted. */
export function resizeCounter(counter: Counter, { budget, rateLimit }: Limits, nowMs: number): Counter {
  const within = (ring: Ring | undefined, bucketMs: number): Ring =>
    ring === undefined ? emptyRing(bucketMs) : resizeRing(ring, bucketMs, nowMs);
  const budgetMs = budget && budgetBucketMs(budget.window);
  const rateMs = rateLimit && rateBucketMs(rateLimit.windowSecs);
  return {
    ...counter,
    spend: budgetMs === undefined ? counter.spend : within(counter.spend, budgetMs),
    requests: rateMs === undefined ? counter.requests : within(counter.requests, rateMs),
    tokens: rateMs === undefined ? counter.tokens : within(counter.tokens, rateMs),
  };
}

/** After an admission. Takes from the limits that there are: a counter without a budget reserves nothing. */
export function addReservation(
  counter: Counter,
  limits: Limits,
  { reservedNano, tokens }: Reservation,
  nowMs: number,
): Counter {
  const current = resizeCounter(counter, limits, nowMs);
  const one = (ring: Ring | undefined, amount: bigint) => ring && addToRing(ring, amount, nowMs, nowMs);
  return {
    ...current,
    ...(limits.budget !== undefined && { reservedNano: current.reservedNano + reservedNano }),
    ...(limits.rateLimit !== undefined && {
      openReservations: current.openReservations + 1n,
      requests: one(current.requests, 1n),
      tokens: one(current.tokens, tokens),
    }),
  };
}

/** After a hold on its budget was closed. */
export function endBudgetReservation(
  counter: Counter,
  { releaseNano, charge }: ReservationEnd,
  nowMs: number,
): Counter {
  return {
    ...counter,
    reservedNano: counter.reservedNano - releaseNano,
    spend: corrected(counter.spend, charge, nowMs),
  };
}

/** After a hold on its rate limit was closed. */
export function endRateLimitReservation(
  counter: Counter,
  { tokens, requests, freesSlot }: ReservationEnd,
  nowMs: number,
): Counter {
  return {
    ...counter,
    openReservations: freesSlot ? counter.openReservations - 1n : counter.openReservations,
    requests: corrected(counter.requests, requests, nowMs),
    tokens: corrected(counter.tokens, tokens, nowMs),
  };
}

function corrected(ring: Ring | undefined, change: DatedAmount | undefined, nowMs: number): Ring | undefined {
  if (ring === undefined || change === undefined) return ring;
  const { amount, atMs } = change;
  return amount < 0n ? subtractFromRing(ring, -amount, atMs) : addToRing(ring, amount, atMs, nowMs);
}
