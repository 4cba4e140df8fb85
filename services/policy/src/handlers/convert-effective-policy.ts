import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  EffectiveBudgetSchema,
  EffectiveGuardrailSchema,
  EffectivePolicySchema,
  EffectiveRateLimitSchema,
  PolicySourceSchema,
} from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import type { SourcedRule, Uninspectable } from "@routeplane/guardrails";
import { PROTO_UNINSPECTABLE, toProtoBudget, toProtoPattern, toProtoRateLimit } from "@routeplane/policy-spec/proto";
import { toTimestamp } from "@routeplane/rpc";
import type { EffectivePolicyWithUse } from "../domain/effective/read-effective-policy.ts";
import type { PolicySource, SourcedGuardrail } from "../domain/effective/effective-policy.ts";
import { toProtoBudgetUse, toProtoMode, toProtoPrincipal } from "./convert-policy.ts";

export function toProtoEffectivePolicy(
  effective: EffectivePolicyWithUse,
): MessageInitShape<typeof EffectivePolicySchema> {
  const { principal, lineage, guardrail, shadowGuardrail, budgets, rateLimits } = effective;
  return {
    ...toProtoPrincipal(principal),
    lineage: [...lineage],
    ...(guardrail && { guardrail: toProtoEffectiveGuardrail(guardrail) }),
    ...(shadowGuardrail && { shadowGuardrail: toProtoEffectiveGuardrail(shadowGuardrail) }),
    budgets: budgets.map(toProtoEffectiveBudget),
    rateLimits: rateLimits.map(toProtoEffectiveRateLimit),
  };
}

function toProtoEffectiveRateLimit(
  used: EffectivePolicyWithUse["rateLimits"][number],
): MessageInitShape<typeof EffectiveRateLimitSchema> {
  const { spec, use, ...source } = used;
  const { requests, tokens, concurrent, requestsFreeUpAt, tokensFreeUpAt } = use;
  const freesUpAt = earlier(requestsFreeUpAt, tokensFreeUpAt);
  const counts = { requests, tokens, concurrent, ...(freesUpAt && { freesUpAt: toTimestamp(freesUpAt) }) };
  return { source: toProtoSource(source), spec: toProtoRateLimit(spec), ...counts };
}

function earlier(a: Date | undefined, b: Date | undefined): Date | undefined {
  return a === undefined || (b !== undefined && b < a) ? b : a;
}

function toProtoEffectiveBudget({
  spec,
  use,
  ...source
}: EffectivePolicyWithUse["budgets"][number]): MessageInitShape<typeof EffectiveBudgetSchema> {
  return { source: toProtoSource(source), spec: toProtoBudget(spec), ...toProtoBudgetUse(spec, use) };
}

function toProtoEffectiveGuardrail(guardrail: SourcedGuardrail): MessageInitShape<typeof EffectiveGuardrailSchema> {
  const { modelAllow, modelDeny, maxRequestTokens: cap, allowStreaming, contentPatterns, uninspectable } = guardrail;
  const sources = (rule: SourcedRule<unknown>) =>
    rule.sources.flatMap((bindingId) => guardrail.sources.get(bindingId) ?? []).map(toProtoSource);
  const toProtoNames = (rule: SourcedRule<readonly string[]>) => ({ names: [...rule.value], sources: sources(rule) });
  const toProtoUninspectable = (rule: SourcedRule<Uninspectable>) => ({
    action: PROTO_UNINSPECTABLE[rule.value],
    sources: sources(rule),
  });
  return {
    modelAllow: modelAllow.map((rule) => ({ models: [...rule.value], sources: sources(rule) })),
    modelDeny: modelDeny.map((rule) => ({ model: rule.value, sources: sources(rule) })),
    ...(cap && { maxRequestTokens: { tokens: BigInt(cap.value), sources: sources(cap) } }),
    ...(allowStreaming && { allowStreaming: { allowed: allowStreaming.value, sources: sources(allowStreaming) } }),
    serviceTierAllow: guardrail.serviceTierAllow.map(toProtoNames),
    modalityAllow: guardrail.modalityAllow.map(toProtoNames),
    hostedToolAllow: guardrail.hostedToolAllow.map(toProtoNames),
    contentPatterns: contentPatterns.map((rule) => ({ pattern: toProtoPattern(rule.value), sources: sources(rule) })),
    ...definedFields({
      uninspectableRequest: uninspectable.request && toProtoUninspectable(uninspectable.request),
      uninspectableResponse: uninspectable.response && toProtoUninspectable(uninspectable.response),
    }),
  };
}

export function toProtoSource({
  policyId,
  policyName,
  bindingId,
  principal,
  mode,
}: PolicySource): MessageInitShape<typeof PolicySourceSchema> {
  return { policyId, policyName, bindingId, ...toProtoPrincipal(principal), mode: toProtoMode(mode) };
}
