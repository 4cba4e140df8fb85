/**
 * What a policy says, as it is stored: `kind`, and `spec` as the JSON that users write. Reading fails closed: a field that is
 * not known might be a rule that would then not be enforced, so whoever needs the policy must refuse.
 */
import { BUDGET_WINDOWS } from "@routeplane/admission";
import { present } from "@routeplane/domain";
import type { ContentPattern, GuardrailSpec } from "@routeplane/guardrails";
import type { BudgetSpec, PolicyKind, PolicySpec, PresetSpec, RateLimitSpec } from "../domain/policies/policy.ts";
import { arrayAt, booleanAt, integerAt, objectAt, oneOfAt, textAt, unreadable } from "./stored-json.ts";

export function toSpecColumns(spec: PolicySpec): { readonly kind: PolicyKind; readonly spec: string } {
  return { kind: spec.kind, spec: JSON.stringify(toJson(spec)) };
}

/** @throws Error if it cannot be read, saying where */
export function fromSpecColumns({ kind, spec }: { readonly kind: string; readonly spec: unknown }): PolicySpec {
  switch (kind) {
    case "budget":
      return { kind, ...budgetAt(spec, "spec") };
    case "rate_limit":
      return { kind, ...rateLimitAt(spec, "spec") };
    case "guardrail":
      return { kind, ...guardrailAt(spec, "spec") };
    case "preset":
      return { kind, ...presetAt(spec, "spec") };
    default:
      throw unreadable("kind", "is not known");
  }
}

function toJson(spec: PolicySpec): object {
  switch (spec.kind) {
    case "budget":
      return toBudgetJson(spec);
    case "rate_limit":
      return toRateLimitJson(spec);
    case "guardrail":
      return toGuardrailJson(spec);
    case "preset": {
      const { guardrail, rateLimit, budget } = spec;
      return {
        ...(guardrail && { guardrail: toGuardrailJson(guardrail) }),
        ...(rateLimit && { rate_limit: toRateLimitJson(rateLimit) }),
        ...(budget && { budget: toBudgetJson(budget) }),
      };
    }
  }
}

/** A number is at most 9e15, so it is exact in JSON. */
function toBudgetJson({ window, limitMicroUsd }: BudgetSpec): object {
  return { window, limit_micro_usd: Number(limitMicroUsd) };
}

function toRateLimitJson({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec): object {
  return {
    window_secs: windowSecs,
    ...(maxRequests !== undefined && { max_requests: Number(maxRequests) }),
    ...(maxTokens !== undefined && { max_tokens: Number(maxTokens) }),
    ...(maxConcurrent !== undefined && { max_concurrent: Number(maxConcurrent) }),
  };
}

function toGuardrailJson(spec: GuardrailSpec): object {
  return present({
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
  });
}

function budgetAt(value: unknown, path: string): BudgetSpec {
  const json = objectAt(value, path, ["window", "limit_micro_usd"]);
  return {
    window: oneOfAt(json["window"], `${path}.window`, BUDGET_WINDOWS),
    limitMicroUsd: BigInt(integerAt(json["limit_micro_usd"], `${path}.limit_micro_usd`)),
  };
}

function rateLimitAt(value: unknown, path: string): RateLimitSpec {
  const json = objectAt(value, path, ["window_secs", "max_requests", "max_tokens", "max_concurrent"]);
  const maximum = (name: string) => {
    const given = json[name];
    return given === undefined ? undefined : BigInt(integerAt(given, `${path}.${name}`));
  };
  const maxima = present({
    maxRequests: maximum("max_requests"),
    maxTokens: maximum("max_tokens"),
    maxConcurrent: maximum("max_concurrent"),
  });
  if (Object.keys(maxima).length === 0) throw unreadable(path, "limits nothing");
  return { windowSecs: integerAt(json["window_secs"], `${path}.window_secs`), ...maxima };
}

const GUARDRAIL_FIELDS = [
  "model_allow",
  "model_deny",
  "max_request_tokens",
  "allow_streaming",
  "content_patterns",
  "uninspectable",
];

function guardrailAt(value: unknown, path: string): GuardrailSpec {
  const json = objectAt(value, path, GUARDRAIL_FIELDS);
  const optional = <T>(name: string, read: (given: unknown, at: string) => T): T | undefined => {
    const given = json[name];
    return given === undefined ? undefined : read(given, `${path}.${name}`);
  };
  const spec = present({
    modelAllow: optional("model_allow", (given, at) => arrayAt(given, at, textAt)),
    modelDeny: optional("model_deny", (given, at) => arrayAt(given, at, textAt)),
    maxRequestTokens: optional("max_request_tokens", integerAt),
    allowStreaming: optional("allow_streaming", booleanAt),
    contentPatterns: optional("content_patterns", (given, at) => arrayAt(given, at, contentPatternAt)),
    uninspectable: optional("uninspectable", (given, at) => oneOfAt(given, at, ["block", "pass"] as const)),
  });
  if (Object.keys(spec).length === 0) throw unreadable(path, "has no rule");
  return spec;
}

function contentPatternAt(value: unknown, path: string): ContentPattern {
  const json = objectAt(value, path, ["name", "pattern", "action", "applies_to"]);
  return {
    name: textAt(json["name"], `${path}.name`),
    pattern: textAt(json["pattern"], `${path}.pattern`),
    action: oneOfAt(json["action"], `${path}.action`, ["block", "redact"]),
    appliesTo: oneOfAt(json["applies_to"], `${path}.applies_to`, ["request", "response", "both"]),
  };
}

function presetAt(value: unknown, path: string): PresetSpec {
  const json = objectAt(value, path, ["guardrail", "rate_limit", "budget"]);
  const { guardrail, rate_limit: rateLimit, budget } = json;
  const spec = present({
    guardrail: guardrail === undefined ? undefined : guardrailAt(guardrail, `${path}.guardrail`),
    rateLimit: rateLimit === undefined ? undefined : rateLimitAt(rateLimit, `${path}.rate_limit`),
    budget: budget === undefined ? undefined : budgetAt(budget, `${path}.budget`),
  });
  if (Object.keys(spec).length === 0) throw unreadable(path, "has no part");
  return spec;
}
