import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BudgetWindow } from "@routeplane/admission";
import {
  type BudgetSpec as ProtoBudget,
  type BudgetSpecSchema,
  BudgetWindow as ProtoWindow,
  type ContentPattern as ProtoPattern,
  type ContentPatternSchema,
  type GuardrailSpec as ProtoGuardrail,
  type GuardrailSpecSchema,
  PatternAction,
  PatternScope,
  type PolicySpec as ProtoSpec,
  type PolicySpecSchema,
  type PresetSpec as ProtoPreset,
  type PresetSpecSchema,
  type RateLimitSpec as ProtoRateLimit,
  Uninspectable as ProtoUninspectable,
} from "@routeplane/contracts/policy";
import { invalidField, present } from "@routeplane/domain";
import type { ContentPattern, GuardrailSpec, Uninspectable } from "@routeplane/guardrails";
import { guardrailOf } from "../domain/effective/applied-policy.ts";
import type {
  BudgetSpec,
  GuardrailInRequest,
  PolicySpec,
  PresetSpec,
  RateLimitSpec,
} from "../domain/policies/policy.ts";

const WINDOWS: Readonly<Record<BudgetWindow, ProtoWindow>> = {
  hour: ProtoWindow.HOUR,
  day: ProtoWindow.DAY,
  week: ProtoWindow.WEEK,
  month: ProtoWindow.MONTH,
  total: ProtoWindow.TOTAL,
};

const ACTIONS: Readonly<Record<ContentPattern["action"], PatternAction>> = {
  block: PatternAction.BLOCK,
  redact: PatternAction.REDACT,
};

const SCOPES: Readonly<Record<ContentPattern["appliesTo"], PatternScope>> = {
  request: PatternScope.REQUEST,
  response: PatternScope.RESPONSE,
  both: PatternScope.BOTH,
};

export const UNINSPECTABLE: Readonly<Record<Uninspectable, ProtoUninspectable>> = {
  block: ProtoUninspectable.BLOCK,
  pass: ProtoUninspectable.PASS,
};

export function fromProtoSpec(spec: ProtoSpec | undefined): PolicySpec {
  switch (spec?.kind.case) {
    case "budget":
      return { kind: "budget", ...fromProtoBudget(spec.kind.value) };
    case "guardrail":
      return { kind: "guardrail", ...fromProtoGuardrail(spec.kind.value) };
    case "rateLimit":
      return { kind: "rate_limit", ...fromProtoRateLimit(spec.kind.value) };
    case "preset":
      return { kind: "preset", ...fromProtoPreset(spec.kind.value) };
    case undefined:
      throw invalidField("spec", "must say what the policy limits");
  }
}

/** The guardrail in a spec that lies in a request's `spec`. */
export function guardrailIn(spec: PolicySpec): GuardrailInRequest | undefined {
  const guardrail = guardrailOf(spec);
  return guardrail && { guardrail, fieldPrefix: spec.kind === "preset" ? "spec.preset.guardrail." : "spec.guardrail." };
}

export function toProtoSpec(spec: PolicySpec): MessageInitShape<typeof PolicySpecSchema> {
  switch (spec.kind) {
    case "budget":
      return { kind: { case: "budget", value: toProtoBudget(spec) } };
    case "guardrail":
      return { kind: { case: "guardrail", value: toProtoGuardrail(spec) } };
    case "rate_limit":
      return { kind: { case: "rateLimit", value: toProtoRateLimit(spec) } };
    case "preset":
      return { kind: { case: "preset", value: toProtoPreset(spec) } };
  }
}

export function fromProtoBudget({ window, limitMicroUsd }: ProtoBudget): BudgetSpec {
  return { window: fromProtoWindow(window), limitMicroUsd };
}

export function fromProtoWindow(window: ProtoWindow): BudgetWindow {
  return wordOf(WINDOWS, window);
}

export function toProtoBudget({ window, limitMicroUsd }: BudgetSpec): MessageInitShape<typeof BudgetSpecSchema> {
  return { window: WINDOWS[window], limitMicroUsd };
}

export function fromProtoRateLimit({
  windowSecs,
  maxRequests,
  maxTokens,
  maxConcurrent,
}: ProtoRateLimit): RateLimitSpec {
  return { windowSecs, ...present({ maxRequests, maxTokens, maxConcurrent }) };
}

export function toProtoRateLimit({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec) {
  return { windowSecs, ...present({ maxRequests, maxTokens, maxConcurrent }) };
}

/** The rules that are set, of a spec or of what is to change in one. */
export function fromProtoGuardrail(guardrail: Omit<ProtoGuardrail, "$typeName">): GuardrailSpec {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns, uninspectable } = guardrail;
  return present({
    modelAllow: modelAllow?.models,
    modelDeny: modelDeny?.models,
    // At most 9e15.
    maxRequestTokens: maxRequestTokens === undefined ? undefined : Number(maxRequestTokens),
    allowStreaming,
    contentPatterns: contentPatterns.length === 0 ? undefined : contentPatterns.map(fromProtoPattern),
    uninspectable: uninspectable === ProtoUninspectable.UNSPECIFIED ? undefined : wordOf(UNINSPECTABLE, uninspectable),
  });
}

export function toProtoGuardrail(guardrail: GuardrailSpec): MessageInitShape<typeof GuardrailSpecSchema> {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns = [], uninspectable } = guardrail;
  return {
    contentPatterns: contentPatterns.map(toProtoPattern),
    ...present({
      modelAllow: modelAllow && { models: [...modelAllow] },
      modelDeny: modelDeny && { models: [...modelDeny] },
      maxRequestTokens: maxRequestTokens === undefined ? undefined : BigInt(maxRequestTokens),
      allowStreaming,
      uninspectable: uninspectable && UNINSPECTABLE[uninspectable],
    }),
  };
}

function fromProtoPattern({ name, pattern, action, appliesTo }: ProtoPattern): ContentPattern {
  return {
    name,
    pattern,
    action: wordOf(ACTIONS, action || PatternAction.BLOCK),
    appliesTo: wordOf(SCOPES, appliesTo || PatternScope.BOTH),
  };
}

export function toProtoPattern(pattern: ContentPattern): MessageInitShape<typeof ContentPatternSchema> {
  return { ...pattern, action: ACTIONS[pattern.action], appliesTo: SCOPES[pattern.appliesTo] };
}

export function fromProtoPreset({ guardrail, rateLimit, budget }: ProtoPreset): PresetSpec {
  return present({
    guardrail: guardrail && fromProtoGuardrail(guardrail),
    rateLimit: rateLimit && fromProtoRateLimit(rateLimit),
    budget: budget && fromProtoBudget(budget),
  });
}

function toProtoPreset({ guardrail, rateLimit, budget }: PresetSpec): MessageInitShape<typeof PresetSpecSchema> {
  return present({
    guardrail: guardrail && toProtoGuardrail(guardrail),
    rateLimit: rateLimit && toProtoRateLimit(rateLimit),
    budget: budget && toProtoBudget(budget),
  });
}

/** The contract takes none but known numbers. */
function wordOf<Word extends string>(words: Readonly<Record<Word, number>>, number: number): Word {
  for (const word in words) if (words[word] === number) return word;
  throw new Error(`${number} is none of ${Object.keys(words).join(", ")}`);
}
