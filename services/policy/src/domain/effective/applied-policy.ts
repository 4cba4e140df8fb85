import type { Id } from "@routeplane/domain";
import type { GuardrailSpec } from "@routeplane/guardrails";
import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
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
