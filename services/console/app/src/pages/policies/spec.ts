import type { PolicySpec as ProtoSpec } from "@routeplane/contracts/policy";
import type { PolicyKind, PolicySpec } from "@routeplane/policy-spec";
import { fromProtoSpec } from "@routeplane/policy-spec/proto";

/** Names of the kinds, in the order in which they are offered. */
export const KIND_TITLES: Readonly<Record<PolicyKind, string>> = {
  budget: "Budget",
  rate_limit: "Rate limit",
  guardrail: "Guardrail",
  preset: "Preset",
};

/** Spec of a policy; undefined if it has a word that only a newer version of the contract knows. */
export function readSpec(spec: ProtoSpec | undefined): PolicySpec | undefined {
  try {
    return fromProtoSpec(spec);
  } catch {
    return undefined;
  }
}
