import type { GuardrailSpec } from "@routeplane/guardrails";
import type { AppliedGuardrail, GuardrailDirectory } from "../src/domain/ports.ts";

/** Guardrails that apply to every key: each from a binding of its own, `bnd_1` and so on. */
export function fakeGuardrailDirectory(
  specs: readonly GuardrailSpec[],
  mode: AppliedGuardrail["mode"] = "enforce",
): GuardrailDirectory {
  const applied = specs.map((spec, index): AppliedGuardrail => {
    const number = index + 1;
    const principal = { principalType: "namespace", principalId: "ns_1" } as const;
    const binding = { policyId: `pol_${number}`, policyName: `rule ${number}`, bindingId: `bnd_${number}` };
    return { ...binding, ...principal, mode, spec };
  });
  return { of: async () => applied };
}
