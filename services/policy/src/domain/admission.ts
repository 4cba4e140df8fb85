import {
  decide,
  openOn,
  type RateState,
  rateStateOf,
  type RequestBounds,
  reservation,
  type Excess,
  type LimitRule,
  type Taken,
} from "@routeplane/admission";
import { DomainError, type Id, invalidField } from "@routeplane/domain";
import { denialMessage } from "./denial-message.ts";
import { expire, type Hold, settle, type Used, voidHold } from "./hold.ts";
import type { AppliedLimits } from "./applied-limits.ts";
import type { AdmissionState, AdmissionStep, HoldKey, Ledger } from "./ports.ts";

/** A request that wants to go upstream. */
export interface AdmissionRequest extends RequestBounds {
  readonly namespaceId: Id<"ns">;
  readonly requestId: Id<"req">;
  /** From the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
  /** What the client calls it and every repetition of it; undefined: nothing. */
  readonly idempotencyKey: string | undefined;
}

export type AdmissionAnswer = {
  /** What bindings in shadow mode would have refused it for. */
  readonly shadowed: readonly { readonly binding: AppliedLimits; readonly rule: LimitRule }[];
  readonly rates: RateState;
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
  admit(request: AdmissionRequest): Promise<AdmissionAnswer>;
  /** Idempotent. @throws DomainError INVALID_ARGUMENT for a cost or a number of tokens that no request can have */
  settle(key: HoldKey, used: Used): Promise<void>;
  /** Idempotent. */
  void(key: HoldKey, neverSent: boolean): Promise<void>;
}

/** The dearest request that the contract can express costs this much; beyond it a cost is garbage. */
const MAX_COST_NANO = reservation({ inputPicoUsd: 10n ** 12n, outputPicoUsd: 10n ** 12n }, 10n ** 9n, 10n ** 9n);
/** Nothing reads or writes more in one request. */
const MAX_TOKENS = 10n ** 12n;

export function createAdmission(ledger: Ledger, holdTtlMs: number): Admission {
  return {
    async admit(request) {
      const { namespaceId, requestId, lineage, idempotencyKey } = request;
      const asking = { key: { namespaceId, requestId, keyId: callerOf(lineage) }, lineage, idempotencyKey };
      const first = await ledger.admit(asking, (state) =>
        state.overdue ? { answer: undefined } : admitOn(state, request, holdTtlMs),
      );
      if (first !== undefined) return first;
      // Nobody else ends the holds of a gateway that died.
      await ledger.expireOverdue(namespaceId, expire);
      return ledger.admit(asking, (state) => admitOn(state, request, holdTtlMs));
    },

    async settle(key, used) {
      if (used.costNano > MAX_COST_NANO) throw invalidField("cost_nano_usd", `must be at most ${MAX_COST_NANO}`);
      if (used.tokens > MAX_TOKENS) throw invalidField("tokens", `must be at most ${MAX_TOKENS}`);
      await ledger.settle(key, (hold, now) => settle(hold, used, now));
    },

    void: (key, neverSent) => ledger.void(key, (hold) => voidHold(hold, neverSent)),
  };
}

function callerOf(lineage: readonly Id<"key">[]): Id<"key"> {
  const caller = lineage.at(-1);
  if (caller === undefined) throw invalidField("lineage", "must name the calling key");
  return caller;
}

function admitOn(state: AdmissionState, request: AdmissionRequest, holdTtlMs: number): AdmissionStep<AdmissionAnswer> {
  const nowMs = state.now.getTime();
  if (state.hold !== undefined) return { answer: answerAgain(state.hold, state.bindings, nowMs) };
  if (state.usedBy !== undefined) throw idempotencyKeyUsed(state.usedBy);
  const decision = decide(request, state.bindings, nowMs);
  const { shadowed } = decision;
  if (decision.outcome === "deny") {
    const rates = rateStateOf(state.bindings, nowMs);
    return { answer: { ...decision, outcome: "denied", message: denialMessage(decision), shadowed, rates } };
  }
  const { outputTokensMax, reserveNano, tokens } = decision;
  const taken = decision.bindings.map((each) => takeFrom(each, decision, nowMs));
  const rates = rateStateOf(taken, nowMs);
  if (taken.length === 0 && request.idempotencyKey === undefined) {
    const none = { reservedNano: 0n, expiresAt: undefined };
    return { answer: { outcome: "admitted", outputTokensMax, ...none, shadowed, rates } };
  }
  const expiresAt = new Date(nowMs + holdTtlMs);
  const open = { amountNano: reserveNano, tokens, outputTokensMax, openedAt: state.now, expiresAt, bindings: taken };
  return {
    answer: { outcome: "admitted", outputTokensMax, reservedNano: reservedOn(open), expiresAt, shadowed, rates },
    open,
  };
}

function idempotencyKeyUsed(requestId: Id<"req">): DomainError {
  const message = `the request ${requestId} has this idempotency key`;
  return new DomainError("already_exists", "IDEMPOTENCY_KEY_USED", message, { metadata: { request_id: requestId } });
}

function takeFrom(binding: AppliedLimits, taken: Taken, nowMs: number): AppliedLimits {
  return { ...binding, counter: openOn(binding.counter, binding.limits, taken, nowMs) };
}

/** Nothing is reserved where no budget applies. */
function reservedOn({ amountNano, bindings }: { amountNano: bigint; bindings: readonly AppliedLimits[] }): bigint {
  return bindings.some(({ limits }) => limits.budget !== undefined) ? amountNano : 0n;
}

/** A settled or voided request would go upstream a second time without a reservation, so it is not admitted again. */
function answerAgain(hold: Hold, bindings: readonly AppliedLimits[], nowMs: number): AdmissionAnswer {
  const { state, outputTokensMax, amountNano, expiresAt, budgetBindingIds } = hold;
  if (state === "settled" || state === "voided") {
    throw new DomainError("failed_precondition", "STATE_CONFLICT", `this request is already ${state}`);
  }
  const reservedNano = budgetBindingIds.length > 0 ? amountNano : 0n;
  const rates = rateStateOf(bindings, nowMs);
  return { outcome: "admitted", outputTokensMax, reservedNano, expiresAt, shadowed: [], rates };
}
