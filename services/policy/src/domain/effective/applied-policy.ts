import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
import type { Id } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import type { BindingMode, BoundPrincipal } from "../policies/policy.ts";

/** A policy that applies to a key, and through which binding. */
export interface Applied<Spec> {
  readonly policyId: Id<"pol">;
  readonly policyName: string;
  readonly bindingId: Id<"bnd">;
  readonly principal: BoundPrincipal;
  readonly mode: BindingMode;
  readonly spec: Spec;
}

/** The guardrails among what applies, those in presets included. */
export function guardrailsIn(applied: readonly Applied<PolicySpec>[]): readonly Applied<GuardrailSpec>[] {
  return applied.flatMap((each) => {
    const spec = guardrailOf(each.spec);
    return spec === undefined ? [] : [{ ...each, spec }];
  });
}
