import type { PolicySpec as ProtoSpec } from "@routeplane/contracts/policy";
import { invalidField } from "@routeplane/domain";
import { guardrailOf, type PolicySpec } from "@routeplane/policy-spec";
import { fromProtoSpec } from "@routeplane/policy-spec/proto";
import type { GuardrailInRequest } from "../domain/policies/spec-rules.ts";

/** @throws DomainError INVALID_ARGUMENT if the request has no spec */
export function requireProtoSpec(spec: ProtoSpec | undefined): PolicySpec {
  const converted = fromProtoSpec(spec);
  if (converted === undefined) throw invalidField("spec", "must say what the policy limits");
  return converted;
}

/**
 * Guardrail of the spec of a request, with the path of its fields.
 *
 * @param path path of the spec; by default that of the kind's arm in a `PolicySpec`
 */
export function guardrailInRequest(spec: PolicySpec, path = `spec.${spec.kind}`): GuardrailInRequest | undefined {
  const guardrail = guardrailOf(spec);
  return guardrail && { guardrail, fieldPrefix: spec.kind === "preset" ? `${path}.guardrail.` : `${path}.` };
}
