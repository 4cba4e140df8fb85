/** Conversion of specs from and to the messages of the contract, and of words from and to its enum numbers. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { BudgetWindow } from "@routeplane/admission";
import {
  BindingMode,
  type BudgetSpec as ProtoBudget,
  type BudgetSpecSchema,
  BudgetWindow as ProtoWindow,
  type ContentPattern as ProtoPattern,
  type ContentPatternSchema,
  type GuardrailSpec as ProtoGuardrail,
  type GuardrailSpecSchema,
  LimitUnit as ProtoUnit,
  type OwnLimit,
  PatternAction as ProtoAction,
  PatternScope,
  PolicyKind as ProtoKind,
  type PolicySpec as ProtoSpec,
  type PolicySpecSchema,
  type PresetSpec as ProtoPreset,
  type PresetSpecSchema,
  PrincipalType,
  type RateLimitSpec as ProtoRateLimit,
  type RateLimitSpecSchema,
  Uninspectable as ProtoUninspectable,
} from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import type {
  ContentPattern,
  GuardrailSpec,
  PatternAction,
  PatternTarget,
  Uninspectable,
} from "@routeplane/guardrails/spec";
import type { LimitJson } from "./limit-json.ts";
import type { BudgetSpec, PolicyKind, PolicySpec, PresetSpec, RateLimitSpec } from "./spec.ts";

export const PROTO_POLICY_KINDS = {
  guardrail: ProtoKind.GUARDRAIL,
  rate_limit: ProtoKind.RATE_LIMIT,
  budget: ProtoKind.BUDGET,
  preset: ProtoKind.PRESET,
} as const satisfies Readonly<Record<PolicyKind, ProtoKind>>;

export const PROTO_PRINCIPAL_TYPES = { api_key: PrincipalType.API_KEY, namespace: PrincipalType.NAMESPACE } as const;

export const PROTO_BINDING_MODES = { enforce: BindingMode.ENFORCE, shadow: BindingMode.SHADOW } as const;

export const PROTO_BUDGET_WINDOWS = {
  hour: ProtoWindow.HOUR,
  day: ProtoWindow.DAY,
  week: ProtoWindow.WEEK,
  month: ProtoWindow.MONTH,
  total: ProtoWindow.TOTAL,
  calendar_day: ProtoWindow.CALENDAR_DAY,
  calendar_month: ProtoWindow.CALENDAR_MONTH,
} as const satisfies Readonly<Record<BudgetWindow, ProtoWindow>>;

export const PROTO_PATTERN_ACTIONS = {
  block: ProtoAction.BLOCK,
  redact: ProtoAction.REDACT,
} as const satisfies Readonly<Record<PatternAction, ProtoAction>>;

export const PROTO_PATTERN_TARGETS = {
  request: PatternScope.REQUEST,
  response: PatternScope.RESPONSE,
  both: PatternScope.BOTH,
} as const satisfies Readonly<Record<PatternTarget, PatternScope>>;

export const PROTO_UNINSPECTABLE = {
  block: ProtoUninspectable.BLOCK,
  pass: ProtoUninspectable.PASS,
} as const satisfies Readonly<Record<Uninspectable, ProtoUninspectable>>;

/** Word for a number of an enum; undefined for a number of a newer version of the contract. */
export function findWord<Word extends string>(words: Readonly<Record<Word, number>>, number: number): Word | undefined {
  for (const word in words) if (words[word] === number) return word;
  return undefined;
}

/** Readers of the contract's enums. A reader decides what an unknown or unspecified number becomes. */
export interface WordReader<Window, Action, Target, Rule> {
  readonly window: (number: ProtoWindow) => Window;
  readonly action: (number: ProtoAction) => Action;
  readonly target: (number: PatternScope) => Target;
  /** Never called with an unspecified rule. */
  readonly uninspectable: (number: ProtoUninspectable) => Rule;
}

/** Reader for requests that have passed the contract's validation, so that all numbers are known. Applies the contract's defaults. */
export const VALIDATED_WORDS: WordReader<BudgetWindow, PatternAction, PatternTarget, Uninspectable> = {
  window: (number) => requireWord(PROTO_BUDGET_WINDOWS, number),
  action: (number) => requireWord(PROTO_PATTERN_ACTIONS, number || ProtoAction.BLOCK),
  target: (number) => requireWord(PROTO_PATTERN_TARGETS, number || PatternScope.BOTH),
  uninspectable: (number) => requireWord(PROTO_UNINSPECTABLE, number),
};

function requireWord<Word extends string>(words: Readonly<Record<Word, number>>, number: number): Word {
  const word = findWord(words, number);
  if (word === undefined) throw new Error(`${number} is none of ${Object.keys(words).join(", ")}`);
  return word;
}

/** Validated spec; undefined if none is set. */
export function fromProtoSpec(spec: ProtoSpec | undefined): PolicySpec | undefined {
  switch (spec?.kind.case) {
    case "budget":
      return { kind: "budget", ...fromProtoBudget(spec.kind.value, VALIDATED_WORDS) };
    case "guardrail":
      return { kind: "guardrail", ...fromProtoGuardrail(spec.kind.value, VALIDATED_WORDS) };
    case "rateLimit":
      return { kind: "rate_limit", ...fromProtoRateLimit(spec.kind.value) };
    case "preset":
      return { kind: "preset", ...fromProtoPreset(spec.kind.value, VALIDATED_WORDS) };
    case undefined:
      return undefined;
  }
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

export function fromProtoBudget<Window>(
  { window, timeZone, limitMicroUsd }: ProtoBudget,
  words: Pick<WordReader<Window, unknown, unknown, unknown>, "window">,
) {
  return { window: words.window(window), ...definedFields({ timeZone }), limitMicroUsd };
}

export function toProtoBudget({
  window,
  timeZone,
  limitMicroUsd,
}: BudgetSpec): MessageInitShape<typeof BudgetSpecSchema> {
  return { window: PROTO_BUDGET_WINDOWS[window], ...definedFields({ timeZone }), limitMicroUsd };
}

export function fromProtoRateLimit(rateLimit: ProtoRateLimit): RateLimitSpec {
  const { windowSecs, maxRequests, maxTokens, maxConcurrent } = rateLimit;
  return { windowSecs, ...definedFields({ maxRequests, maxTokens, maxConcurrent }) };
}

export function toProtoRateLimit(rateLimit: RateLimitSpec): MessageInitShape<typeof RateLimitSpecSchema> {
  const { windowSecs, maxRequests, maxTokens, maxConcurrent } = rateLimit;
  return { windowSecs, ...definedFields({ maxRequests, maxTokens, maxConcurrent }) };
}

/** Rules that are set in a spec, or in a change of a spec. */
export function fromProtoGuardrail<Action, Target, Rule>(
  guardrail: Omit<ProtoGuardrail, "$typeName">,
  words: Omit<WordReader<unknown, Action, Target, Rule>, "window">,
) {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns, uninspectable } = guardrail;
  const { serviceTierAllow, modalityAllow, hostedToolAllow } = guardrail;
  const patterns = contentPatterns.map(({ name, pattern, action, appliesTo }: ProtoPattern) => {
    return { name, pattern, action: words.action(action), appliesTo: words.target(appliesTo) };
  });
  return definedFields({
    modelAllow: modelAllow?.models,
    modelDeny: modelDeny?.models,
    // At most 9e15, which a number holds exactly.
    maxRequestTokens: maxRequestTokens === undefined ? undefined : Number(maxRequestTokens),
    allowStreaming,
    contentPatterns: patterns.length === 0 ? undefined : patterns,
    uninspectable: uninspectable === ProtoUninspectable.UNSPECIFIED ? undefined : words.uninspectable(uninspectable),
    serviceTierAllow: serviceTierAllow?.tiers,
    modalityAllow: modalityAllow?.modalities,
    hostedToolAllow: hostedToolAllow?.tools,
  });
}

export function toProtoGuardrail(guardrail: GuardrailSpec): MessageInitShape<typeof GuardrailSpecSchema> {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns = [], uninspectable } = guardrail;
  const { serviceTierAllow, modalityAllow, hostedToolAllow } = guardrail;
  return {
    contentPatterns: contentPatterns.map(toProtoPattern),
    ...definedFields({
      modelAllow: modelAllow && { models: [...modelAllow] },
      modelDeny: modelDeny && { models: [...modelDeny] },
      maxRequestTokens: maxRequestTokens === undefined ? undefined : BigInt(maxRequestTokens),
      allowStreaming,
      uninspectable: uninspectable && PROTO_UNINSPECTABLE[uninspectable],
      serviceTierAllow: serviceTierAllow && { tiers: [...serviceTierAllow] },
      modalityAllow: modalityAllow && { modalities: [...modalityAllow] },
      hostedToolAllow: hostedToolAllow && { tools: [...hostedToolAllow] },
    }),
  };
}

export function toProtoPattern(pattern: ContentPattern): MessageInitShape<typeof ContentPatternSchema> {
  const { name, action, appliesTo } = pattern;
  return {
    name,
    pattern: pattern.pattern,
    action: PROTO_PATTERN_ACTIONS[action],
    appliesTo: PROTO_PATTERN_TARGETS[appliesTo],
  };
}

export function fromProtoPreset<Window, Action, Target, Rule>(
  { guardrail, rateLimit, budget }: ProtoPreset,
  words: WordReader<Window, Action, Target, Rule>,
) {
  return definedFields({
    guardrail: guardrail && fromProtoGuardrail(guardrail, words),
    rateLimit: rateLimit && fromProtoRateLimit(rateLimit),
    budget: budget && fromProtoBudget(budget, words),
  });
}

export function toProtoPreset({ guardrail, rateLimit, budget }: PresetSpec): MessageInitShape<typeof PresetSpecSchema> {
  return definedFields({
    guardrail: guardrail && toProtoGuardrail(guardrail),
    rateLimit: rateLimit && toProtoRateLimit(rateLimit),
    budget: budget && toProtoBudget(budget),
  });
}

const LIMIT_UNITS = {
  micro_usd: ProtoUnit.MICRO_USD,
  requests: ProtoUnit.REQUESTS,
  tokens: ProtoUnit.TOKENS,
  concurrent: ProtoUnit.CONCURRENT,
} as const;

/** Converts a limit of GetOwnLimits. A word that only newer nodes send becomes `unknown`. */
export function fromProtoOwnLimit(ownLimit: OwnLimit): LimitJson {
  const { source, unit, window, windowSecs, timeZone, resetsAt, ...amounts } = ownLimit;
  return {
    policy_id: source?.policyId ?? "",
    policy_name: source?.policyName ?? "",
    binding_id: source?.bindingId ?? "",
    principal_type: wordOf(PROTO_PRINCIPAL_TYPES, source?.principalType),
    principal_id: source?.principalId ?? "",
    mode: wordOf(PROTO_BINDING_MODES, source?.mode),
    kind: unit === ProtoUnit.MICRO_USD ? "budget" : "rate_limit",
    unit: wordOf(LIMIT_UNITS, unit),
    window: window === ProtoWindow.UNSPECIFIED ? null : wordOf(PROTO_BUDGET_WINDOWS, window),
    ...(timeZone !== "" && { time_zone: timeZone }),
    window_secs: windowSecs === 0 ? null : windowSecs,
    limit: Number(amounts.limit),
    used: Number(amounts.used),
    reserved: Number(amounts.reserved),
    leased: Number(amounts.leased),
    left: Number(amounts.left),
    resets_at: resetsAt === undefined ? null : timestampDate(resetsAt).toISOString(),
  };
}

function wordOf(words: Readonly<Record<string, number>>, number: number | undefined): string {
  return (number === undefined ? undefined : findWord(words, number)) ?? "unknown";
}
