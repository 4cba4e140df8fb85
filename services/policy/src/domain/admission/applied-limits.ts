import type { BudgetLimit, LimitedBinding, Limits } from "@routeplane/admission";
import { type Id, microToNano } from "@routeplane/domain";
import { type BudgetSpec, budgetOf, type PolicySpec, rateLimitOf } from "@routeplane/policy-spec";
import type { BoundPrincipal } from "../policies/policy.ts";

/** Binding whose limits apply to a request, with the state of its counter and its source. */
export interface AppliedLimits extends LimitedBinding {
  readonly policyId: Id<"pol">;
  readonly policyName: string;
  readonly bindingId: Id<"bnd">;
  readonly principal: BoundPrincipal;
}

/** Limits of a spec that counters enforce: its budget and its rate limit, those of a preset included; undefined if none. */
export function limitsOf(spec: PolicySpec): Limits | undefined {
  const [budget, rateLimit] = [budgetOf(spec), rateLimitOf(spec)];
  if (budget === undefined && rateLimit === undefined) return undefined;
  return { budget: budget && toBudgetLimit(budget), rateLimit };
}

export function toBudgetLimit({ window, timeZone, limitMicroUsd }: BudgetSpec): BudgetLimit {
  return { window, timeZone, limitNano: microToNano(limitMicroUsd) };
}
