import {
  type Counter,
  endBudgetReservation,
  endRateLimitReservation,
  type ReservationEnd,
} from "@routeplane/admission";
import type { Id } from "@routeplane/domain";

/**
 * Amounts that an admitted request counts on every limit that applied when it was admitted: money on budgets; on rate limits
 * its tokens, a slot and one request.
 *
 *     open --settle--> settled      charged the cost of the request
 *     open --void----> voided       released: charged nothing
 *     open --expire--> expired      charged in full
 *     expired --settle--> settled   the charge is corrected to the cost of the request
 */
export interface Reservation {
  /** Key that made the request; empty for a reservation of an earlier version of this service, which did not record it. */
  readonly keyId: Id<"key"> | "";
  readonly requestId: Id<"req">;
  readonly budgetBindingIds: readonly Id<"bnd">[];
  readonly rateBindingIds: readonly Id<"bnd">[];
  /** Nano-USD on each of the budgets. */
  readonly reservedNano: bigint;
  /** Input and output bound together, on each of the rate limits. */
  readonly tokens: bigint;
  /** Output bound that was granted. */
  readonly outputTokensMax: bigint;
  /** Moment of the admission, at which rate limits count the request. */
  readonly openedAt: Date;
  readonly expiresAt: Date;
  readonly state: "open" | "settled" | "voided" | "expired";
  /** Moment at which the state was reached; undefined while open. */
  readonly endedAt: Date | undefined;
}

/** Upper bound of the tokens of a request. */
export const MAX_REQUEST_TOKENS = 10n ** 12n;

/** Cost and tokens of a request that has ended. */
export interface RequestUsage {
  readonly costNano: bigint;
  /** Input and output together. */
  readonly tokens: bigint;
}

/** New state of a reservation, and the change that this makes to each of its counters. */
export interface ReservationChange {
  readonly state: "settled" | "voided" | "expired";
  /** Cost of the request in nano-USD; undefined unless settled. */
  readonly costNano: bigint | undefined;
  readonly end: ReservationEnd;
}

/**
 * Settlement: charges the cost, also beyond what was reserved. Corrects the charge of an expired reservation.
 *
 * @returns undefined for a reservation that is settled or voided
 */
export function settleReservation(
  reservation: Reservation,
  { costNano, tokens }: RequestUsage,
  now: Date,
): ReservationChange | undefined {
  const { reservedNano, openedAt, endedAt } = reservation;
  const state = "settled";
  const nowMs = now.getTime();
  const corrected = {
    tokens: { amount: tokens - reservation.tokens, atMs: openedAt.getTime() },
    requests: undefined,
  };
  if (reservation.state === "open") {
    const charge = { amount: costNano, atMs: nowMs };
    return { state, costNano, end: { ...corrected, releaseNano: reservedNano, charge, freesSlot: true } };
  }
  if (reservation.state !== "expired" || endedAt === undefined) return undefined;
  const amount = costNano - reservedNano;
  // A charge that was too high is corrected at its own moment; an overrun is spent now.
  const charge = { amount, atMs: amount < 0n ? endedAt.getTime() : nowMs };
  return { state, costNano, end: { ...corrected, releaseNano: 0n, charge, freesSlot: false } };
}

/**
 * Release (`void`): charges nothing.
 *
 * @param neverSent true if nothing went upstream, so that the request does not count as one either
 * @returns undefined for a reservation that is not open
 */
export function releaseReservation(reservation: Reservation, neverSent: boolean): ReservationChange | undefined {
  if (reservation.state !== "open") return undefined;
  const atMs = reservation.openedAt.getTime();
  const end = {
    releaseNano: reservation.reservedNano,
    charge: undefined,
    tokens: { amount: -reservation.tokens, atMs },
    requests: neverSent ? { amount: -1n, atMs } : undefined,
    freesSlot: true,
  };
  return { state: "voided", costNano: undefined, end };
}

/**
 * Expiry: an unknown end, once the reservation is due.
 *
 * @returns undefined for a reservation that is not open or not yet due
 */
export function expireReservation(reservation: Reservation, now: Date): ReservationChange | undefined {
  return reservation.expiresAt > now ? undefined : endUnknown(reservation, now);
}

/**
 * Unknown end: charges the reservation in full, because the usage is unknown, and unknown is not free.
 *
 * @returns undefined for a reservation that is not open
 */
export function endUnknown(reservation: Reservation, now: Date): ReservationChange | undefined {
  if (reservation.state !== "open") return undefined;
  const { reservedNano } = reservation;
  const charge = { amount: reservedNano, atMs: now.getTime() };
  const end = { releaseNano: reservedNano, charge, tokens: undefined, requests: undefined, freesSlot: true };
  return { state: "expired", costNano: undefined, end };
}

/** Counters after the change of a reservation. Bindings that no longer have a counter are skipped. */
export function endOnCounters(
  counters: ReadonlyMap<Id<"bnd">, Counter>,
  { budgetBindingIds, rateBindingIds }: Reservation,
  { end }: ReservationChange,
  now: Date,
): ReadonlyMap<Id<"bnd">, Counter> {
  const ended = new Map(counters);
  const apply = (bindingIds: readonly Id<"bnd">[], endOn: typeof endBudgetReservation): void => {
    for (const id of bindingIds) {
      const counter = ended.get(id);
      if (counter !== undefined) ended.set(id, endOn(counter, end, now.getTime()));
    }
  };
  apply(budgetBindingIds, endBudgetReservation);
  apply(rateBindingIds, endRateLimitReservation);
  return ended;
}
