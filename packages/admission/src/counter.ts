import { addToRing, emptyRing, type Ring, resizeRing, subtractFromRing } from "./bucket-ring.ts";
import type { Scale } from "./scale.ts";
import { budgetScale, rateScale, type TimedWindow } from "./window.ts";

/** Limit that settled and reserved amounts together never exceed within the window. */
export interface BudgetLimit extends TimedWindow {
  readonly limitNano: bigint;
}

/** Maxima of what is admitted within a sliding window, and of what runs at the same time. An absent maximum limits nothing. */
export interface RateLimit {
  readonly windowSecs: number;
  readonly maxRequests?: bigint;
  readonly maxTokens?: bigint;
  readonly maxConcurrent?: bigint;
}

/** Limits of one binding; a preset can have both. */
export interface Limits {
  readonly budget?: BudgetLimit | undefined;
  readonly rateLimit?: RateLimit | undefined;
}

/** State of the limits of one binding. A ring is undefined until something is counted in it. */
export interface Counter {
  /** Sum of the open reservations. Nano-USD. */
  readonly reservedNano: bigint;
  /** Number of open reservations: the slots in use. */
  readonly openReservations: bigint;
  /** Settled amounts. Nano-USD. */
  readonly spend: Ring | undefined;
  /** Admitted requests. */
  readonly requests: Ring | undefined;
  /** Input and output tokens: their bounds from admission on, the number used from settlement on. */
  readonly tokens: Ring | undefined;
}

export const EMPTY_COUNTER: Counter = {
  reservedNano: 0n,
  openReservations: 0n,
  spend: undefined,
  requests: undefined,
  tokens: undefined,
};

/** Amounts that an admission reserves on every limit that applies. */
export interface Reservation {
  readonly reservedNano: bigint;
  /** Input and output bound together. */
  readonly tokens: bigint;
}

/**
 * Change that the end of a reservation (settled, released or expired) makes to its counters. A negative amount takes back part
 * of what was counted at that moment.
 */
export interface ReservationEnd {
  /** Subtracted from `reservedNano`. */
  readonly releaseNano: bigint;
  readonly charge: DatedAmount | undefined;
  readonly tokens: DatedAmount | undefined;
  readonly requests: DatedAmount | undefined;
  /** True if the reservation was open, so that its slot is free now. */
  readonly freesSlot: boolean;
}

/** Amount, and the moment at which it counts. */
export interface DatedAmount {
  readonly amount: bigint;
  readonly atMs: number;
}

/** Counter whose rings have the windows of these limits. Editing a window keeps what was counted. */
export function resizeCounter(counter: Counter, { budget, rateLimit }: Limits, nowMs: number): Counter {
  const resize = (ring: Ring | undefined, scale: Scale): Ring =>
    ring === undefined ? emptyRing(scale) : resizeRing(ring, scale, nowMs);
  const ofBudget = budget && budgetScale(budget);
  const ofRate = rateLimit && rateScale(rateLimit.windowSecs);
  return {
    ...counter,
    spend: ofBudget === undefined ? counter.spend : resize(counter.spend, ofBudget),
    requests: ofRate === undefined ? counter.requests : resize(counter.requests, ofRate),
    tokens: ofRate === undefined ? counter.tokens : resize(counter.tokens, ofRate),
  };
}

/** Counter after an admission. Only the limits of the binding count: without a budget no money is reserved. */
export function addReservation(
  counter: Counter,
  limits: Limits,
  { reservedNano, tokens }: Reservation,
  nowMs: number,
): Counter {
  const current = resizeCounter(counter, limits, nowMs);
  const add = (ring: Ring | undefined, amount: bigint) => ring && addToRing(ring, amount, nowMs, nowMs);
  return {
    ...current,
    ...(limits.budget !== undefined && { reservedNano: current.reservedNano + reservedNano }),
    ...(limits.rateLimit !== undefined && {
      openReservations: current.openReservations + 1n,
      requests: add(current.requests, 1n),
      tokens: add(current.tokens, tokens),
    }),
  };
}

/** Counter after a reservation on its budget has ended. */
export function endBudgetReservation(
  counter: Counter,
  { releaseNano, charge }: ReservationEnd,
  nowMs: number,
): Counter {
  return {
    ...counter,
    reservedNano: counter.reservedNano - releaseNano,
    spend: changeRing(counter.spend, charge, nowMs),
  };
}

/** Counter after a reservation on its rate limit has ended. */
export function endRateLimitReservation(
  counter: Counter,
  { tokens, requests, freesSlot }: ReservationEnd,
  nowMs: number,
): Counter {
  return {
    ...counter,
    openReservations: freesSlot ? counter.openReservations - 1n : counter.openReservations,
    requests: changeRing(counter.requests, requests, nowMs),
    tokens: changeRing(counter.tokens, tokens, nowMs),
  };
}

function changeRing(ring: Ring | undefined, change: DatedAmount | undefined, nowMs: number): Ring | undefined {
  if (ring === undefined || change === undefined) return ring;
  const { amount, atMs } = change;
  return amount < 0n ? subtractFromRing(ring, -amount, atMs) : addToRing(ring, amount, atMs, nowMs);
}
