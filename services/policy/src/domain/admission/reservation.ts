import {
  type ReservationEnd,
  endBudgetReservation,
  endRateLimitReservation,
  type Counter,
} from "@routeplane/admission";
import type { Id } from "@routeplane/domain";

/**
 * What a request took from every limit that applied when it was admitted: money from budgets; from rate limits its tokens, a
 * slot, and that it was admitted at all.
 *
 *     open --settle--> settled      charged what it used
 *     open --void----> voided       charged nothing
 *     open --expire--> expired      charged in full
 *     expired --settle--> settled   the charge is corrected to what it used
 */
export interface Reservation {
  /** The key that called; empty for a hold that a release opened which did not say. */
  readonly keyId: Id<"key"> | "";
  readonly requestId: Id<"req">;
  readonly budgetBindingIds: readonly Id<"bnd">[];
  readonly rateBindingIds: readonly Id<"bnd">[];
  /** Nano-USD on each of the budgets. */
  readonly reservedNano: bigint;
  /** On each of the rate limits: input and output bounds together. */
  readonly tokens: bigint;
  /** The output bound that was granted. */
  readonly outputTokensMax: bigint;
  /** When it was admitted: rate limits count it there. */
  readonly openedAt: Date;
  readonly expiresAt: Date;
  readonly state: "open" | "settled" | "voided" | "expired";
  /** When it reached this state; undefined while it is open. */
  readonly closedAt: Date | undefined;
}

/** What a request really used. */
export interface RequestUsage {
  readonly costNano: bigint;
  /** Input and output together. */
  readonly tokens: bigint;
}

/** A change of a hold and what it does to each of its limits. */
export interface ReservationChange {
  readonly state: "settled" | "voided" | "expired";
  /** What the request cost, if that is known. Nano-USD. */
  readonly costNano: bigint | undefined;
  readonly end: ReservationEnd;
}

/** Charges what it used, be that more than it took. A hold that had expired gets its charge corrected. */
export function settleReservation(
  hold: Reservation,
  { costNano, tokens }: RequestUsage,
  now: Date,
): ReservationChange | undefined {
  const state = "settled";
  const [nowMs, openedMs] = [now.getTime(), hold.openedAt.getTime()];
  const corrected = { tokens: { amount: tokens - hold.tokens, atMs: openedMs }, requests: undefined };
  if (hold.state === "open") {
    const charge = { amount: costNano, atMs: nowMs };
    return { state, costNano, end: { ...corrected, releaseNano: hold.reservedNano, charge, freesSlot: true } };
  }
  if (hold.state !== "expired" || hold.closedAt === undefined) return undefined;
  const amount = costNano - hold.reservedNano;
  // What was charged too much is taken back where it was charged; an overrun is spent now.
  const charge = { amount, atMs: amount < 0n ? hold.closedAt.getTime() : nowMs };
  return { state, costNano, end: { ...corrected, releaseNano: 0n, charge, freesSlot: false } };
}

/** @param neverSent whether nothing went upstream: then it does not count as a request either */
export function releaseReservation(hold: Reservation, neverSent: boolean): ReservationChange | undefined {
  if (hold.state !== "open") return undefined;
  const atMs = hold.openedAt.getTime();
  const end = {
    releaseNano: hold.reservedNano,
    charge: undefined,
    tokens: { amount: -hold.tokens, atMs },
    requests: neverSent ? { amount: -1n, atMs } : undefined,
    freesSlot: true,
  };
  return { state: "voided", costNano: undefined, end: end };
}

/** Charges all of it: what the request used is unknown, and unknown is not free. */
export function expireReservation(hold: Reservation, now: Date): ReservationChange | undefined {
  if (hold.state !== "open" || hold.expiresAt > now) return undefined;
  const charge = { amount: hold.reservedNano, atMs: now.getTime() };
  const end = { releaseNano: hold.reservedNano, charge, tokens: undefined, requests: undefined, freesSlot: true };
  return { state: "expired", costNano: undefined, end: end };
}

/** What the change makes of the counters that the hold is on. Those of bindings that are gone are nobody's any more. */
export function endOnCounters(
  counters: ReadonlyMap<Id<"bnd">, Counter>,
  hold: Reservation,
  { end }: ReservationChange,
  now: Date,
): ReadonlyMap<Id<"bnd">, Counter> {
  const closed = new Map(counters);
  const change = (ids: readonly Id<"bnd">[], close: typeof endBudgetReservation): void => {
    for (const id of ids) {
      const counter = closed.get(id);
      if (counter !== undefined) closed.set(id, close(counter, end, now.getTime()));
    }
  };
  change(hold.budgetBindingIds, endBudgetReservation);
  change(hold.rateBindingIds, endRateLimitReservation);
  return closed;
}
