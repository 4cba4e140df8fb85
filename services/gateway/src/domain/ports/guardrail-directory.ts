import type { GuardrailSpec } from "@routeplane/guardrails";
import type { CallingKey } from "./key-verifier.ts";

/** A guardrail, the policy it is of, and the binding by which it applies. */
export interface AppliedGuardrail {
  readonly policyId: string;
  readonly policyName: string;
  readonly bindingId: string;
  readonly principalType: "namespace" | "api_key";
  readonly principalId: string;
  /** Shadow: judged and logged, never enforced. */
  readonly mode: "enforce" | "shadow";
  readonly spec: GuardrailSpec;
}

/** Guardrails by key. */
export interface GuardrailDirectory {
  /**
   * Finds every guardrail that applies to the key, without a promise while they are cached. Returns the same array as long as nothing
   * has changed.
   *
   * @throws DomainError UNAVAILABLE if they are not known: the request must be refused
   */
  listApplied(caller: CallingKey): readonly AppliedGuardrail[] | Promise<readonly AppliedGuardrail[]>;
}
