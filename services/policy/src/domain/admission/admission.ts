import {
  decideAdmission,
  addReservation,
  type RateLimitStates,
  rateLimitStatesOf,
  type RequestBounds,
  reservationCost,
  type Excess,
  type LimitRule,
} from "@routeplane/admission";
import { DomainError, type Id, invalidField } from "@routeplane/domain";
import { denialMessage } from "./denial-message.ts";
import {
  expireReservation,
  type Reservation,
  settleReservation,
  type RequestUsage,
  releaseReservation,
} from "./reservation.ts";
import type { AppliedLimits } from "./applied-limits.ts";
import type { AdmissionDecision, AdmissionState, Ledger, NewReservation, ReservationKey } from "../ports.ts";

/** A request that wants to go upstream. */
export interface AdmissionRequest extends RequestBounds {
  readonly namespaceId: Id<"ns">;
  readonly requestId: Id<"req">;
  /** From the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
  /** What the client calls it and every repetition of it; undefined: nothing. */
  readonly idempotencyKey: string | undefined;
}

export type AdmissionResult = {
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowDenials: readonly { readonly binding: AppliedLimits; readonly rule: LimitRule }[];
  readonly rateLimits: RateLimitStates;
} & (
  | {
      readonly outcome: "admitted";
      readonly outputTokensMax: bigint;
      readonly reservedNano: bigint;
      /** When the hold ends by itself; undefined: no limit applies, so there is no hold. */
      readonly expiresAt: Date | undefined;
    }
  | ({ readonly outcome: "denied"; readonly message: string } & Excess<AppliedLimits>)
);

export interface Admission {
  /**
   * Idempotent by namespace, calling key and request id. @throws DomainError FAILED_PRECONDITION if the request is over
   * already; ALREADY_EXISTS if another request of the calling key has its idempotency key
   */
  admit(request: AdmissionRequest): Promise<AdmissionResult>;
  /** Idempotent. @throws DomainError INVALID_ARGUMENT for a cost or a number of tokens that no request can have */
  settle(key: ReservationKey, used: RequestUsage): Promise<void>;
  /** Idempotent. */
  void(key: ReservationKey, neverSent: boolean): Promise<void>;
}

/** The dearest request that the contract can express costs this much; beyond it a cost is garbage. */
const MAX_COST_NANO = reservationCost({ inputPicoUsd: 10n ** 12n, outputPicoUsd: 10n ** 12n }, 10n ** 9n, 10n ** 9n);
/** Nothing reads or writes more in one request. */
const MAX_TOKENS = 10n ** 12n;

export function createAdmission(ledger: Ledger, holdTtlMs: number): Admission {
  return {
    async admit(request) {
      const { namespaceId, requestId, lineage, idempotencyKey } = request;
      const asking = { key: { namespaceId, requestId, keyId: callingKeyOf(lineage) }, lineage, idempotencyKey };
      const first = await ledger.admit(asking, (state) =>
        state.isExpiryDue ? { result: undefined } : decideWith(state, request, holdTtlMs),
      );
      if (first !== undefined) return first;
      // Nobody else ends the holds of a gateway that died.
      await ledger.expireDue(namespaceId, expireReservation);
      return ledger.admit(asking, (state) => decideWith(state, request, holdTtlMs));
    },

    async settle(key, used) {
      if (used.costNano > MAX_COST_NANO) throw invalidField("cost_nano_usd", `must be at most ${MAX_COST_NANO}`);
      if (used.tokens > MAX_TOKENS) throw invalidField("tokens", `must be at most ${MAX_TOKENS}`);
      await ledger.settle(key, (hold, now) => settleReservation(hold, used, now));
    },

    void: (key, neverSent) => ledger.void(key, (hold) => releaseReservation(hold, neverSent)),
  };
}

function callingKeyOf(lineage: readonly Id<"key">[]): Id<"key"> {
  const caller = lineage.at(-1);
  if (caller === undefined) throw invalidField("lineage", "must name the calling key");
  return caller;
}

function decideWith(
  state: AdmissionState,
  request: AdmissionRequest,
  holdTtlMs: number,
): AdmissionDecision<AdmissionResult> {
  const nowMs = state.now.getTime();
  if (state.reservation !== undefined) return { result: repeatedResult(state.reservation, state.bindings, nowMs) };
  if (state.idempotencyKeyUsedBy !== undefined) throw idempotencyKeyUsed(state.idempotencyKeyUsedBy);
  const decision = decideAdmission(request, state.bindings, nowMs);
  const { shadowDenials } = decision;
  if (decision.outcome === "deny") {
    const rateLimits = rateLimitStatesOf(state.bindings, nowMs);
    return {
      result: { ...decision, outcome: "denied", message: denialMessage(decision), shadowDenials, rateLimits },
    };
  }
  const { outputTokensMax, reservedNano, tokens } = decision;
  const bindings = decision.bindings.map((each) => reserveOn(each, decision, nowMs));
  const rateLimits = rateLimitStatesOf(bindings, nowMs);
  if (bindings.length === 0 && request.idempotencyKey === undefined) {
    const none = { reservedNano: 0n, expiresAt: undefined };
    return { result: { outcome: "admitted", outputTokensMax, ...none, shadowDenials, rateLimits } };
  }
  const expiresAt = new Date(nowMs + holdTtlMs);
  const reservation = { reservedNano, tokens, outputTokensMax, openedAt: state.now, expiresAt, bindings };
  return {
    result: {
      outcome: "admitted",
      outputTokensMax,
      reservedNano: reservedNanoOf(reservation),
      expiresAt,
      shadowDenials,
      rateLimits,
    },
    reservation,
  };
}

function idempotencyKeyUsed(requestId: Id<"req">): DomainError {
  const message = `the request ${requestId} has this idempotency key`;
  return new DomainError("already_exists", "IDEMPOTENCY_KEY_USED", message, { metadata: { request_id: requestId } });
}

function reserveOn(
  binding: AppliedLimits,
  amounts: Pick<Reservation, "reservedNano" | "tokens">,
  nowMs: number,
): AppliedLimits {
  return { ...binding, counter: addReservation(binding.counter, binding.limits, amounts, nowMs) };
}

/** Nano-USD that a new reservation takes from budgets: 0 if none applies. */
function reservedNanoOf({ reservedNano, bindings }: NewReservation): bigint {
  return bindings.some(({ limits }) => limits.budget !== undefined) ? reservedNano : 0n;
}

/**
 * Result for a request that has a reservation already.
 *
 * @throws DomainError FAILED_PRECONDITION if the request is settled or voided: it would go upstream a second time uncharged
 */
function repeatedResult(reservation: Reservation, bindings: readonly AppliedLimits[], nowMs: number): AdmissionResult {
  const { state, outputTokensMax, expiresAt, budgetBindingIds } = reservation;
  if (state === "settled" || state === "voided") {
    throw new DomainError("failed_precondition", "STATE_CONFLICT", `this request is already ${state}`);
  }
  const reservedNano = budgetBindingIds.length > 0 ? reservation.reservedNano : 0n;
  const rateLimits = rateLimitStatesOf(bindings, nowMs);
  return { outcome: "admitted", outputTokensMax, reservedNano, expiresAt, shadowDenials: [], rateLimits };
}
