import type { Id } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import {
  budgetOf,
  type BudgetSpec,
  guardrailOf,
  type PolicySpec,
  rateLimitOf,
  type RateLimitSpec,
} from "@routeplane/policy-spec";
import type { BindingMode, BoundPrincipal } from "../policies/policy.ts";

/** Policy that applies to a key, and the binding through which it does. */
export interface Applied<Spec> {
  readonly policyId: Id<"pol">;
  readonly policyName: string;
  readonly bindingId: Id<"bnd">;
  readonly principal: BoundPrincipal;
  readonly mode: BindingMode;
  readonly spec: Spec;
}

/** Guardrails of policies, those of presets included. */
export function guardrailsIn(applied: readonly Applied<PolicySpec>[]): readonly Applied<GuardrailSpec>[] {
  return applied.flatMap((policy) => {
    const spec = guardrailOf(policy.spec);
    return spec === undefined ? [] : [{ ...policy, spec }];
  });
}

/** Limits of a spec: at least one of them is set. */
export interface LimitSpecs {
  readonly budget: BudgetSpec | undefined;
  readonly rateLimit: RateLimitSpec | undefined;
}

/** Budgets and rate limits of policies, those of presets included. */
export function limitsIn(applied: readonly Applied<PolicySpec>[]): readonly Applied<LimitSpecs>[] {
  return applied.flatMap((policy) => {
    const [budget, rateLimit] = [budgetOf(policy.spec), rateLimitOf(policy.spec)];
    return budget === undefined && rateLimit === undefined ? [] : [{ ...policy, spec: { budget, rateLimit } }];
  });
}
