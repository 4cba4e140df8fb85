/**
 * Conversion of specs from and to JSON, in which users write and read them and in which they are stored. Reading refuses unknown fields,
 * because an unknown field may be a rule that would not be enforced.
 */
import { BUDGET_WINDOWS, DEFAULT_TIME_ZONE, isCalendarWindow } from "@routeplane/admission";
import { definedFields, type StrictJson } from "@routeplane/domain";
import {
  type ContentPattern,
  type GuardrailSpec,
  HOSTED_TOOLS,
  MODALITIES,
  PATTERN_ACTIONS,
  PATTERN_TARGETS,
  SERVICE_TIERS,
  UNINSPECTABLE_RULES,
} from "@routeplane/guardrails/spec";
import {
  type BudgetSpec,
  MAX_CONCURRENT,
  MAX_SPEC_INTEGER,
  MAX_WINDOW_SECS,
  type PolicyKind,
  type PolicySpec,
  type PresetSpec,
  type RateLimitSpec,
  type SpecOf,
} from "./spec.ts";
import { timeZoneFault } from "./time-zone.ts";

/** Origin of JSON: a user, whose spec has defaults and bounds, or the database, where every word is written out. */
type Origin = "written" | "stored";

const READERS: { readonly [Kind in PolicyKind]: (json: StrictJson, origin: Origin) => SpecOf<Kind> } = {
  budget: (json, origin) => ({ kind: "budget", ...budgetFrom(json, origin) }),
  rate_limit: (json, origin) => ({ kind: "rate_limit", ...rateLimitFrom(json, origin) }),
  guardrail: (json, origin) => ({ kind: "guardrail", ...guardrailFrom(json, origin) }),
  preset: (json, origin) => ({ kind: "preset", ...presetFrom(json, origin) }),
};

/** Reads a spec that a user has written. @throws the fault of `json`, for a user */
export function fromWrittenJson<Kind extends PolicyKind>(kind: Kind, json: StrictJson): SpecOf<Kind> {
  return READERS[kind](json, "written");
}

/**
 * Reads a spec that `toSpecJson` has written to the database.
 *
 * @throws the fault of `json`: requests that need the policy must then be refused
 */
export function fromStoredJson<Kind extends PolicyKind>(kind: Kind, json: StrictJson): SpecOf<Kind> {
  return READERS[kind](json, "stored");
}

export function toSpecJson(spec: PolicySpec): object {
  switch (spec.kind) {
    case "budget":
      return toBudgetJson(spec);
    case "rate_limit":
      return toRateLimitJson(spec);
    case "guardrail":
      return toGuardrailJson(spec);
    case "preset":
      return toPresetJson(spec);
  }
}

/** Budget to show, in which the window may be an unknown word. */
interface ShownBudget extends Omit<BudgetSpec, "window"> {
  readonly window: string;
}

interface ShownGuardrail extends Omit<GuardrailSpec, "contentPatterns" | "uninspectable"> {
  readonly contentPatterns?: readonly Readonly<Record<keyof ContentPattern, string>>[];
  readonly uninspectable?: string;
}

interface ShownPreset extends Pick<PresetSpec, "rateLimit"> {
  readonly guardrail?: ShownGuardrail;
  readonly budget?: ShownBudget;
}

export function toBudgetJson({ window, timeZone, limitMicroUsd }: ShownBudget) {
  return { window, ...definedFields({ time_zone: timeZone }), limit_micro_usd: Number(limitMicroUsd) };
}

function budgetFrom(json: StrictJson, origin: Origin): BudgetSpec {
  const fields = json.object("budget", ["window", "time_zone", "limit_micro_usd"]);
  const window = fields.window.oneOf(BUDGET_WINDOWS);
  const written = fields.time_zone.optional((name) => name.text());
  const timeZone = written ?? (origin === "written" && isCalendarWindow(window) ? DEFAULT_TIME_ZONE : undefined);
  const fault = timeZoneFault(window, timeZone);
  if (fault !== undefined) throw fields.time_zone.fault(fault);
  return { window, ...definedFields({ timeZone }), limitMicroUsd: integerFrom(fields.limit_micro_usd, origin) };
}

export function toRateLimitJson({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec) {
  const toNumber = (max: bigint | undefined) => (max === undefined ? undefined : Number(max));
  return {
    window_secs: windowSecs,
    ...definedFields({
      max_requests: toNumber(maxRequests),
      max_tokens: toNumber(maxTokens),
      max_concurrent: toNumber(maxConcurrent),
    }),
  };
}

function rateLimitFrom(json: StrictJson, origin: Origin): RateLimitSpec {
  const fields = json.object("rate limit", ["window_secs", "max_requests", "max_tokens", "max_concurrent"]);
  const maxima = definedFields({
    maxRequests: fields.max_requests.optional((max) => integerFrom(max, origin)),
    maxTokens: fields.max_tokens.optional((max) => integerFrom(max, origin)),
    maxConcurrent: fields.max_concurrent.optional((max) => integerFrom(max, origin, MAX_CONCURRENT)),
  });
  const windowSecs = Number(integerFrom(fields.window_secs, origin, MAX_WINDOW_SECS));
  if (Object.keys(maxima).length > 0) return { windowSecs, ...maxima };
  throw json.fault("must set at least one of max_requests, max_tokens and max_concurrent");
}

export function toGuardrailJson(spec: ShownGuardrail) {
  return definedFields({
    model_allow: spec.modelAllow,
    model_deny: spec.modelDeny,
    max_request_tokens: spec.maxRequestTokens,
    allow_streaming: spec.allowStreaming,
    content_patterns: spec.contentPatterns?.map(({ name, pattern, action, appliesTo }) => ({
      name,
      pattern,
      action,
      applies_to: appliesTo,
    })),
    uninspectable: spec.uninspectable,
    service_tier_allow: spec.serviceTierAllow,
    modality_allow: spec.modalityAllow,
    hosted_tool_allow: spec.hostedToolAllow,
  });
}

const GUARDRAIL_FIELDS = [
  "model_allow",
  "model_deny",
  "max_request_tokens",
  "allow_streaming",
  "content_patterns",
  "uninspectable",
  "service_tier_allow",
  "modality_allow",
  "hosted_tool_allow",
] as const;

function guardrailFrom(json: StrictJson, origin: Origin): GuardrailSpec {
  const fields = json.object("guardrail", GUARDRAIL_FIELDS);
  const spec = definedFields({
    modelAllow: fields.model_allow.optional((list) => list.list((model) => textFrom(model, origin))),
    modelDeny: fields.model_deny.optional((list) => list.list((model) => textFrom(model, origin))),
    maxRequestTokens: fields.max_request_tokens.optional((max) => Number(integerFrom(max, origin))),
    allowStreaming: fields.allow_streaming.optional((allowed) => allowed.boolean()),
    uninspectable: fields.uninspectable.optional((rule) => rule.oneOf(UNINSPECTABLE_RULES)),
    contentPatterns: fields.content_patterns.optional((list) => patternsFrom(list, origin)),
    serviceTierAllow: fields.service_tier_allow.optional((list) => list.list((tier) => tier.oneOf(SERVICE_TIERS))),
    modalityAllow: fields.modality_allow.optional((list) => list.list((modality) => modality.oneOf(MODALITIES))),
    hostedToolAllow: fields.hosted_tool_allow.optional((list) => list.list((tool) => tool.oneOf(HOSTED_TOOLS))),
  });
  if (Object.keys(spec).length > 0) return spec;
  throw json.fault(`must set at least one of ${GUARDRAIL_FIELDS.join(", ")}`);
}

function patternsFrom(json: StrictJson, origin: Origin): readonly ContentPattern[] {
  const patterns = json.list((pattern) => patternFrom(pattern, origin));
  if (patterns.length > 0 || origin === "stored") return patterns;
  throw json.fault("must hold at least one pattern: leave it out for none");
}

function patternFrom(json: StrictJson, origin: Origin): ContentPattern {
  const {
    name,
    pattern,
    action,
    applies_to: target,
  } = json.object("pattern", ["name", "pattern", "action", "applies_to"]);
  const wordFrom = <Word extends string>(field: StrictJson, words: readonly Word[], fallback: Word): Word => {
    if (origin === "stored") return field.oneOf(words);
    return field.optional((word) => word.oneOf(words)) ?? fallback;
  };
  return {
    name: textFrom(name, origin),
    pattern: textFrom(pattern, origin),
    action: wordFrom(action, PATTERN_ACTIONS, "block"),
    appliesTo: wordFrom(target, PATTERN_TARGETS, "both"),
  };
}

export function toPresetJson({ guardrail, rateLimit, budget }: ShownPreset) {
  return definedFields({
    guardrail: guardrail && toGuardrailJson(guardrail),
    rate_limit: rateLimit && toRateLimitJson(rateLimit),
    budget: budget && toBudgetJson(budget),
  });
}

const PRESET_PARTS = ["guardrail", "rate_limit", "budget"] as const;

function presetFrom(json: StrictJson, origin: Origin): PresetSpec {
  const parts = json.object("preset", PRESET_PARTS);
  const spec = definedFields({
    guardrail: parts.guardrail.optional((part) => guardrailFrom(part, origin)),
    rateLimit: parts.rate_limit.optional((part) => rateLimitFrom(part, origin)),
    budget: parts.budget.optional((part) => budgetFrom(part, origin)),
  });
  if (Object.keys(spec).length > 0) return spec;
  throw json.fault(`must set at least one of ${PRESET_PARTS.join(", ")}`);
}

/** Reads a whole number >= 1; from a user, at most `max`. */
function integerFrom(json: StrictJson, origin: Origin, max = MAX_SPEC_INTEGER): bigint {
  return BigInt(json.positiveInteger(origin === "stored" ? Number.MAX_SAFE_INTEGER : max));
}

/** Reads a text. A stored text is never empty; the service refuses an empty text of a user, and names the field. */
function textFrom(json: StrictJson, origin: Origin): string {
  const text = json.text();
  if (text === "" && origin === "stored") throw json.fault("must not be empty");
  return text;
}
