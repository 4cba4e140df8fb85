/** Specs as they are written (see the reference under `policy create --help`), made into the contract's messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  BudgetSpecSchema,
  ContentPatternSchema,
  GuardrailSpecSchema,
  PolicySpecSchema,
  PresetSpecSchema,
  RateLimitSpecSchema,
} from "@routeplane/contracts/policy";
import { present } from "@routeplane/domain";
import { ACTIONS, BUDGET_WINDOWS, type PolicyKindWord, TARGETS, UNINSPECTABLE } from "../views/words.ts";
import { arrayAt, booleanAt, integerAt, objectAt, specFault, textAt, wordAt } from "./json-at.ts";

export type BudgetInit = MessageInitShape<typeof BudgetSpecSchema>;
export type RateLimitInit = MessageInitShape<typeof RateLimitSpecSchema>;
export type GuardrailInit = MessageInitShape<typeof GuardrailSpecSchema>;
export type PresetInit = MessageInitShape<typeof PresetSpecSchema>;

const MAX_WINDOW_SECS = 2_592_000;
const MAX_CONCURRENT = 100_000;

/** @throws CliError naming the path, from `spec` on, and the rule */
export function specAt(kind: PolicyKindWord, value: unknown): MessageInitShape<typeof PolicySpecSchema> {
  switch (kind) {
    case "budget":
      return { kind: { case: "budget", value: budgetAt(value, "spec") } };
    case "rate_limit":
      return { kind: { case: "rateLimit", value: rateLimitAt(value, "spec") } };
    case "guardrail":
      return { kind: { case: "guardrail", value: guardrailAt(value, "spec") } };
    case "preset":
      return { kind: { case: "preset", value: presetAt(value, "spec") } };
  }
}

export function budgetAt(value: unknown, path: string): BudgetInit {
  const json = objectAt(value, path, "budget", ["window", "limit_micro_usd"]);
  return {
    window: wordAt(json.window, `${path}.window`, BUDGET_WINDOWS),
    limitMicroUsd: BigInt(integerAt(json.limit_micro_usd, `${path}.limit_micro_usd`)),
  };
}

export function rateLimitAt(value: unknown, path: string): RateLimitInit {
  const names = ["window_secs", "max_requests", "max_tokens", "max_concurrent"] as const;
  const json = objectAt(value, path, "rate limit", names);
  const optional = (given: unknown, name: string, max?: number): bigint | undefined =>
    given === undefined ? undefined : BigInt(integerAt(given, `${path}.${name}`, max));
  const maxima = present({
    maxRequests: optional(json.max_requests, "max_requests"),
    maxTokens: optional(json.max_tokens, "max_tokens"),
    maxConcurrent: optional(json.max_concurrent, "max_concurrent", MAX_CONCURRENT),
  });
  const windowSecs = integerAt(json.window_secs, `${path}.window_secs`, MAX_WINDOW_SECS);
  if (Object.keys(maxima).length > 0) return { windowSecs, ...maxima };
  throw specFault(path, "must set at least one of max_requests, max_tokens and max_concurrent");
}

export function guardrailAt(value: unknown, path: string): GuardrailInit {
  const names = [
    "model_allow",
    "model_deny",
    "max_request_tokens",
    "allow_streaming",
    "content_patterns",
    "uninspectable",
  ] as const;
  const json = objectAt(value, path, "guardrail", names);
  if (Object.keys(json).length === 0) throw specFault(path, `must set at least one of ${names.join(", ")}`);
  const models = (given: unknown, name: string) =>
    given === undefined ? undefined : { models: arrayAt(given, `${path}.${name}`, textAt) };
  const cap = json.max_request_tokens;
  const streaming = json.allow_streaming;
  const rule = json.uninspectable;
  return {
    ...present({
      modelAllow: models(json.model_allow, "model_allow"),
      modelDeny: models(json.model_deny, "model_deny"),
      maxRequestTokens: cap === undefined ? undefined : BigInt(integerAt(cap, `${path}.max_request_tokens`)),
      allowStreaming: streaming === undefined ? undefined : booleanAt(streaming, `${path}.allow_streaming`),
      uninspectable: rule === undefined ? undefined : wordAt(rule, `${path}.uninspectable`, UNINSPECTABLE),
    }),
    contentPatterns: patternsAt(json.content_patterns, `${path}.content_patterns`),
  };
}

export function presetAt(value: unknown, path: string): PresetInit {
  const names = ["guardrail", "rate_limit", "budget"] as const;
  const { guardrail, rate_limit: rateLimit, budget } = objectAt(value, path, "preset", names);
  const spec = present({
    guardrail: guardrail === undefined ? undefined : guardrailAt(guardrail, `${path}.guardrail`),
    rateLimit: rateLimit === undefined ? undefined : rateLimitAt(rateLimit, `${path}.rate_limit`),
    budget: budget === undefined ? undefined : budgetAt(budget, `${path}.budget`),
  });
  if (Object.keys(spec).length === 0) throw specFault(path, `must set at least one of ${names.join(", ")}`);
  return spec;
}

function patternsAt(value: unknown, path: string) {
  if (value === undefined) return [];
  const patterns = arrayAt(value, path, contentPatternAt);
  if (patterns.length === 0) throw specFault(path, "must hold at least one pattern: leave it out for none");
  return patterns;
}

function contentPatternAt(value: unknown, path: string): MessageInitShape<typeof ContentPatternSchema> {
  const names = ["name", "pattern", "action", "applies_to"] as const;
  const { name, pattern, action = "block", applies_to: target = "both" } = objectAt(value, path, "pattern", names);
  return {
    name: textAt(name, `${path}.name`),
    pattern: textAt(pattern, `${path}.pattern`),
    action: wordAt(action, `${path}.action`, ACTIONS),
    appliesTo: wordAt(target, `${path}.applies_to`, TARGETS),
  };
}
