/**
 * Conversion of guardrails from the messages of the policy service. A gateway cannot enforce what it does not know: a field of a
 * newer release fails the whole response, and an enum value of a newer release gets the strictest meaning.
 */
import type { Message } from "@bufbuild/protobuf";
import {
  type AppliedGuardrail as ProtoApplied,
  BindingMode,
  type GuardrailSpec as ProtoGuardrail,
} from "@routeplane/contracts/policy";
import type { GuardrailSpec, PatternAction, PatternTarget, Uninspectable } from "@routeplane/guardrails";
import {
  findWord,
  fromProtoGuardrail,
  PROTO_PATTERN_ACTIONS,
  PROTO_PATTERN_TARGETS,
  PROTO_UNINSPECTABLE,
  type WordReader,
} from "@routeplane/policy-spec/proto";
import type { AppliedGuardrail } from "../domain/ports/guardrail-directory.ts";
import { fromProtoPrincipalType } from "./admissions.ts";

/** @throws Error for a guardrail with a field of a newer release */
export function fromProtoAppliedGuardrail(applied: ProtoApplied): AppliedGuardrail {
  const { policyId, policyName, bindingId, principalId, spec } = applied;
  if (spec === undefined) throw new Error(`binding ${bindingId} has no guardrail`);
  return {
    policyId,
    policyName,
    bindingId,
    principalType: fromProtoPrincipalType(applied.principalType),
    principalId,
    mode: applied.mode === BindingMode.SHADOW ? "shadow" : "enforce",
    spec: fromProtoKnownGuardrail(spec),
  };
}

const STRICTEST_WORDS: Omit<WordReader<never, PatternAction, PatternTarget, Uninspectable>, "window"> = {
  action: (number) => findWord(PROTO_PATTERN_ACTIONS, number) ?? "block",
  target: (number) => findWord(PROTO_PATTERN_TARGETS, number) ?? "both",
  uninspectable: (number) => findWord(PROTO_UNINSPECTABLE, number) ?? "block",
};

function fromProtoKnownGuardrail(guardrail: ProtoGuardrail): GuardrailSpec {
  for (const message of [guardrail, ...guardrail.contentPatterns]) requireKnown(message);
  return fromProtoGuardrail(guardrail, STRICTEST_WORDS);
}

function requireKnown(message: Message): void {
  if ((message.$unknown ?? []).length > 0) throw new Error(`a ${message.$typeName} has a field of a newer release`);
}
