/**
 * Guardrails as the policy service tells them. What this gateway does not know it cannot enforce: a member that is new here
 * fails the whole answer, and a word that is new has its strictest meaning.
 */
import type { Message } from "@bufbuild/protobuf";
import {
  type AppliedGuardrail as ProtoApplied,
  BindingMode,
  type ContentPattern as ProtoPattern,
  type GuardrailSpec as ProtoSpec,
  PatternAction,
  PatternScope,
  Uninspectable,
} from "@routeplane/contracts/policy";
import { present } from "@routeplane/domain";
import type { ContentPattern, GuardrailSpec } from "@routeplane/guardrails";
import type { AppliedGuardrail } from "../domain/ports/guardrail-directory.ts";
import { fromProtoPrincipalType } from "./admissions.ts";

/** @throws Error for one that is not known in full */
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
    spec: fromProtoSpec(spec),
  };
}

function fromProtoSpec(spec: ProtoSpec): GuardrailSpec {
  requireKnown(spec);
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns, uninspectable } = spec;
  return present({
    modelAllow: modelAllow?.models,
    modelDeny: modelDeny?.models,
    // At most 9e15.
    maxRequestTokens: maxRequestTokens === undefined ? undefined : Number(maxRequestTokens),
    allowStreaming,
    contentPatterns: contentPatterns.length === 0 ? undefined : contentPatterns.map(fromProtoPattern),
    uninspectable: fromProtoUninspectable(uninspectable),
  });
}

const TARGETS: Partial<Record<PatternScope, ContentPattern["appliesTo"]>> = {
  [PatternScope.REQUEST]: "request",
  [PatternScope.RESPONSE]: "response",
};

function fromProtoUninspectable(uninspectable: Uninspectable): GuardrailSpec["uninspectable"] {
  if (uninspectable === Uninspectable.UNSPECIFIED) return undefined;
  return uninspectable === Uninspectable.PASS ? "pass" : "block";
}

function fromProtoPattern(proto: ProtoPattern): ContentPattern {
  requireKnown(proto);
  const { name, pattern, action, appliesTo } = proto;
  return {
    name,
    pattern,
    action: action === PatternAction.REDACT ? "redact" : "block",
    appliesTo: TARGETS[appliesTo] ?? "both",
  };
}

function requireKnown(message: Message): void {
  if ((message.$unknown ?? []).length > 0) throw new Error(`a ${message.$typeName} says something that is new here`);
}
