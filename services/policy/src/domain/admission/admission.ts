/**
 * Admission of requests before they go upstream, and the end of their reservations.
 *
 * `admit` decides under the locks of the ledger, which may call the decision again after a conflict: it is a pure function of
 * the state that it is given. If reservations of the namespace are due to expire, they are expired in a transaction of their
 * own first, so that the decision counts them. Every call is idempotent by (namespace, key, request id).
 *
 * If a request would fit without the amounts outstanding in slices, it is not refused or lowered at once: gateways are asked to return the
 * free part of their slices, and the decision is repeated until the request fits, for about 250 ms (`recalls.ts`).
 */
import {
  addReservation,
  decideAdmission,
  type Excess,
  type LimitRule,
  type RequestBounds,
  type TightestLimits,
  tightestLimitsOf,
} from "@routeplane/admission";
import { DomainError, type Id, invalidField, MAX_REQUEST_COST_NANO_USD } from "@routeplane/domain";
import type { AdmissionDecision, AdmissionState, Ledger, NewReservation, ReservationKey } from "../ports.ts";
import type { AppliedLimits } from "./applied-limits.ts";
import { denialMessage } from "./denial-message.ts";
import type { Recalls, RecallWait } from "./recalls.ts";
import {
  expireReservation,
  MAX_REQUEST_TOKENS,
  releaseReservation,
  type RequestUsage,
  type Reservation,
  settleReservation,
} from "./reservation.ts";

/** Request to go upstream. */
export interface AdmissionRequest extends RequestBounds {
  readonly namespaceId: Id<"ns">;
  readonly requestId: Id<"req">;
  /** Key ids from the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
  /** Name that the client gives the request and every repetition of it; undefined if it gives none. */
  readonly idempotencyKey: string | undefined;
  /** Gateway session of the caller; undefined if it has none. */
  readonly sessionId: Id<"gws"> | undefined;
  /** Service credential of the caller; undefined if it uses none. */
  readonly serviceCredentialId?: Id<"svc"> | undefined;
}

export type AdmissionResult = {
  /** Denials that bindings in shadow mode would have made. */
  readonly shadowDenials: readonly { readonly binding: AppliedLimits; readonly rule: LimitRule }[];
  readonly tightest: TightestLimits;
} & (
  | {
      readonly outcome: "admitted";
      readonly outputTokensMax: bigint;
      /** Nano-USD on each budget; 0 if no budget applies. */
      readonly reservedNano: bigint;
      /** Moment at which the reservation expires; undefined if there is none, because no limit applies. */
      readonly expiresAt: Date | undefined;
    }
  | ({
      readonly outcome: "denied";
      readonly message: string;
      /** True if it would be denied even with nothing reserved or set aside. */
      readonly isFirm: boolean;
    } & Excess<AppliedLimits>)
);

export interface Admission {
  /**
   * Idempotent by namespace, calling key and request id.
   *
   * @throws DomainError FAILED_PRECONDITION if the request is settled or voided, or its session is not open; ALREADY_EXISTS if
   * another request of the calling key has its idempotency key
   */
  admit(request: AdmissionRequest): Promise<AdmissionResult>;
  /** Idempotent. @throws DomainError INVALID_ARGUMENT for a cost or a number of tokens that no request can have */
  settle(key: ReservationKey, usage: RequestUsage): Promise<void>;
  /** Idempotent. @param neverSent true if nothing went upstream */
  void(key: ReservationKey, neverSent: boolean): Promise<void>;
}

/** @param recalls undefined for an admission that never waits for slices */
export function createAdmission(ledger: Ledger, reservationTtlMs: number, recalls?: Recalls): Admission {
  async function decideOnce(
    request: AdmissionRequest,
    wait: RecallWait | undefined,
  ): Promise<AdmissionResult | RecallNeeded> {
    const { namespaceId, requestId, lineage, idempotencyKey, sessionId, serviceCredentialId } = request;
    const key = { namespaceId, requestId, keyId: callingKeyOf(lineage) };
    const reserving = { key, lineage, idempotencyKey, sessionId, serviceCredentialId };
    const decide = (state: AdmissionState) => decideWith(state, request, reservationTtlMs, wait);
    const first = await ledger.admit(reserving, (state) => (state.isExpiryDue ? { result: undefined } : decide(state)));
    if (first !== undefined) return first;
    // Only an admission expires the reservations of a gateway that died.
    await ledger.expireDue(namespaceId, expireReservation);
    return ledger.admit(reserving, decide);
  }

  return {
    async admit(request) {
      const wait = recalls?.begin(request);
      for (;;) {
        const result = await decideOnce(request, wait);
        if (result.outcome !== "recall") return result;
        await wait?.recall(result.bindingIds);
      }
    },

    async settle(key, usage) {
      if (usage.costNano > MAX_REQUEST_COST_NANO_USD)
        throw invalidField("cost_nano_usd", `must be at most ${MAX_REQUEST_COST_NANO_USD}`);
      if (usage.tokens > MAX_REQUEST_TOKENS) throw invalidField("tokens", `must be at most ${MAX_REQUEST_TOKENS}`);
      await ledger.settle(key, (reservation, now) => settleReservation(reservation, usage, now));
    },

    void: (key, neverSent) => ledger.void(key, (reservation) => releaseReservation(reservation, neverSent)),
  };
}

function callingKeyOf(lineage: readonly Id<"key">[]): Id<"key"> {
  const keyId = lineage.at(-1);
  if (keyId === undefined) throw invalidField("lineage", "must name the calling key");
  return keyId;
}

/** Decision to be repeated once gateways have returned the free part of their slices of these bindings. */
interface RecallNeeded {
  readonly outcome: "recall";
  readonly bindingIds: readonly Id<"bnd">[];
}

function decideWith(
  state: AdmissionState,
  request: AdmissionRequest,
  reservationTtlMs: number,
  wait: RecallWait | undefined,
): AdmissionDecision<AdmissionResult | RecallNeeded> {
  const nowMs = state.now.getTime();
  if (state.reservation !== undefined) return { result: repeatedResult(state.reservation, state.bindings, nowMs) };
  if (state.idempotencyKeyUsedBy !== undefined) throw idempotencyKeyUsed(state.idempotencyKeyUsedBy);
  const decision = decideAdmission(request, state.bindings, nowMs);
  const bindingIds = wait?.bindingsToRecall(state, decision) ?? [];
  if (bindingIds.length > 0) return { result: { outcome: "recall", bindingIds } };
  const { shadowDenials } = decision;
  if (decision.outcome === "deny") {
    const tightest = tightestLimitsOf(state.bindings, nowMs);
    const message = denialMessage(decision);
    const isFirm = wait?.isFirm(state) ?? false;
    return { result: { ...decision, outcome: "denied", message, isFirm, shadowDenials, tightest } };
  }
  const { outputTokensMax, reservedNano, tokens } = decision;
  const bindings = decision.bindings.map((binding) => reserveOn(binding, decision, nowMs));
  const tightest = tightestLimitsOf(bindings, nowMs);
  const admitted = { outcome: "admitted", outputTokensMax, shadowDenials, tightest } as const;
  if (bindings.length === 0 && request.idempotencyKey === undefined) {
    return { result: { ...admitted, reservedNano: 0n, expiresAt: undefined } };
  }
  const expiresAt = new Date(nowMs + reservationTtlMs);
  const reservation = { reservedNano, tokens, outputTokensMax, openedAt: state.now, expiresAt, bindings };
  return { result: { ...admitted, reservedNano: reservedNanoOf(reservation), expiresAt }, reservation };
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
  const tightest = tightestLimitsOf(bindings, nowMs);
  return { outcome: "admitted", outputTokensMax, reservedNano, expiresAt, shadowDenials: [], tightest };
}
