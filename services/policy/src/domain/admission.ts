import { type BudgetRequest, decide, type Decision, reservation } from "@routeplane/admission";
import { DomainError, type Id, invalidField, nanoToMicro, microToNano } from "@routeplane/domain";
import { type AppliedBudget, expire, type Hold, settle, voidHold } from "./hold.ts";
import type { AdmissionState, AdmissionStep, HoldKey, Ledger } from "./ports.ts";

/** A request that wants to go upstream. */
export interface AdmissionRequest extends BudgetRequest, HoldKey {
  /** From the root key down to the calling key. */
  readonly lineage: readonly Id<"key">[];
}

export type AdmissionAnswer =
  | {
      readonly outcome: "admitted";
      readonly outputTokensMax: bigint;
      readonly reservedNano: bigint;
      /** When the hold ends by itself; undefined: no budget applies, so there is no hold. */
      readonly expiresAt: Date | undefined;
    }
  | { readonly outcome: "denied"; readonly budget: AppliedBudget; readonly message: string };

export interface Admission {
  /** Idempotent by namespace and request id. @throws DomainError FAILED_PRECONDITION if the request is over already */
  admit(request: AdmissionRequest): Promise<AdmissionAnswer>;
  /** Idempotent. @throws DomainError INVALID_ARGUMENT for a cost that no request can have */
  settle(key: HoldKey, costNano: bigint): Promise<void>;
  /** Idempotent. */
  void(key: HoldKey): Promise<void>;
}

/** The dearest request that the contract can express costs this much; beyond it a cost is garbage. */
const MAX_COST_NANO = reservation({ inputPicoUsd: 10n ** 12n, outputPicoUsd: 10n ** 12n }, 10n ** 9n, 10n ** 9n);

export function createAdmission(ledger: Ledger, holdTtlMs: number): Admission {
  return {
    async admit(request) {
      const { namespaceId, lineage } = request;
      const first = await ledger.admit(request, lineage, (state) =>
        state.overdue ? { answer: undefined } : admitOn(state, request, holdTtlMs),
      );
      if (first !== undefined) return first;
      // Nobody else ends the holds of a gateway that died. What a budget has left is the same before and after.
      await ledger.expireOverdue(namespaceId, expire);
      return ledger.admit(request, lineage, (state) => admitOn(state, request, holdTtlMs));
    },

    async settle(key, costNano) {
      if (costNano > MAX_COST_NANO) throw invalidField("cost_nano_usd", `must be at most ${MAX_COST_NANO}`);
      await ledger.settle(key, (hold, now) => settle(hold, costNano, now));
    },

    void: (key) => ledger.void(key, voidHold),
  };
}

function admitOn(state: AdmissionState, request: AdmissionRequest, holdTtlMs: number): AdmissionStep<AdmissionAnswer> {
  if (state.hold !== undefined) return { answer: answerAgain(state.hold) };
  const decision = decide(request, state.budgets);
  if (decision.outcome === "deny") {
    return { answer: { outcome: "denied", budget: decision.budget, message: denialMessage(decision) } };
  }
  const { outputTokensMax, reserveNano } = decision;
  if (state.budgets.length === 0) {
    return { answer: { outcome: "admitted", outputTokensMax, reservedNano: 0n, expiresAt: undefined } };
  }
  const expiresAt = new Date(state.now.getTime() + holdTtlMs);
  return {
    answer: { outcome: "admitted", outputTokensMax, reservedNano: reserveNano, expiresAt },
    open: { amountNano: reserveNano, outputTokensMax, expiresAt },
  };
}

/** A settled or voided request would go upstream a second time without a reservation, so it is not admitted again. */
function answerAgain({ state, outputTokensMax, amountNano, expiresAt }: Hold): AdmissionAnswer {
  if (state === "settled" || state === "voided") {
    throw new DomainError("failed_precondition", "STATE_CONFLICT", `this request is already ${state}`);
  }
  return { outcome: "admitted", outputTokensMax, reservedNano: amountNano, expiresAt };
}

function denialMessage(denial: Extract<Decision<AppliedBudget>, { outcome: "deny" }>): string {
  const { policyName, window, limitNano } = denial.budget;
  const leftMicro = denial.leftNano / microToNano(1n);
  return (
    `budget "${policyName}" (${window}, ${nanoToMicro(limitNano)} micro-USD) has ${leftMicro} micro-USD left; ` +
    `this request needs at least ${nanoToMicro(denial.neededNano)}`
  );
}
