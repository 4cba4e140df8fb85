import type { GuardrailSpec } from "@routeplane/guardrails";
import type { AppliedGuardrail, GuardrailDirectory } from "../src/domain/ports/guardrail-directory.ts";
import { unavailable } from "./unavailable.ts";

/** Fake `GuardrailDirectory` whose guardrails apply to every key, by bindings `bnd_1`, `bnd_2`, … on one namespace. */
export interface FakeGuardrailDirectory extends GuardrailDirectory {
  /** Makes every call fail as UNAVAILABLE while it is true. */
  isDown: boolean;
  /** Binds one more guardrail. */
  bind(spec: GuardrailSpec, mode?: AppliedGuardrail["mode"]): void;
}

/** @param namespaceId the principal of the bindings */
export function fakeGuardrailDirectory(
  specs: readonly GuardrailSpec[],
  mode: AppliedGuardrail["mode"] = "enforce",
  namespaceId = "ns_1",
): FakeGuardrailDirectory {
  const toApplied = (spec: GuardrailSpec, mode: AppliedGuardrail["mode"], number: number): AppliedGuardrail => {
    const binding = { policyId: `pol_${number}`, policyName: `rule ${number}`, bindingId: `bnd_${number}` };
    return { ...binding, principalType: "namespace", principalId: namespaceId, mode, spec };
  };
  let applied = specs.map((spec, index) => toApplied(spec, mode, index + 1));
  return {
    isDown: false,
    async listApplied() {
      if (this.isDown) throw unavailable("policy");
      return applied;
    },
    bind(spec, mode = "enforce") {
      applied = [...applied, toApplied(spec, mode, applied.length + 1)];
    },
  };
}
