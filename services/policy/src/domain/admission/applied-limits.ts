import type { BudgetLimit, LimitedBinding, Limits } from "@routeplane/admission";
import { type Id, microToNano } from "@routeplane/domain";
import type { BoundPrincipal, BudgetSpec, PolicySpec } from "../policies/policy.ts";

/** A binding whose limits apply to a request, as they stand, and where it comes from. */
export interface AppliedLimits extends LimitedBinding {
  readonly policyId: Id<"pol">;
  readonly policyName: string;
  readonly bindingId: Id<"bnd">;
  readonly principal: BoundPrincipal;
}

/** What a policy limits by counting: its budget and its rate limit, those of a preset included. Undefined: nothing. */
export function limitsOf(spec: PolicySpec): Limits | undefined {
  switch (spec.kind) {
    case "budget":
      return { budget: toBudgetLimit(spec) };
    case "rate_limit":
      return { rateLimit: spec };
    case "preset": {
      const { budget, rateLimit } = spec;
      if (budget === undefined && rateLimit === undefined) return undefined;
      return { budget: budget && toBudgetLimit(budget), rateLimit };
    }
    case "guardrail":
      return undefined;
  }
}

export function toBudgetLimit({ window, limitMicroUsd }: BudgetSpec): BudgetLimit {
  return { window, limitNano: microToNano(limitMicroUsd) };
}
