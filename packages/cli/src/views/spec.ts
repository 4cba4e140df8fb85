import {
  type BudgetSpec,
  type GuardrailSpec,
  type PolicySpec,
  type PresetSpec,
  type RateLimitSpec,
  Uninspectable,
} from "@routeplane/contracts/policy";
import { present } from "@routeplane/domain";
import { formatMicroUsd } from "../output/money.ts";
import { fromProtoInteger } from "./values.ts";
import { ACTIONS, BUDGET_WINDOWS, TARGETS, UNINSPECTABLE, word } from "./words.ts";

/** What a policy says, as specs are written: what is absent says nothing. */
export type SpecView = BudgetView | RateLimitView | GuardrailView | PresetView;

type BudgetView = ReturnType<typeof fromProtoBudget>;
type RateLimitView = ReturnType<typeof fromProtoRateLimit>;
type GuardrailView = ReturnType<typeof fromProtoGuardrail>;
type PresetView = ReturnType<typeof fromProtoPreset>;
type Fields = readonly (readonly [name: string, value: string])[];

/** Null if this CLI is older than the policy's kind. */
export function fromProtoSpec(spec: PolicySpec | undefined): SpecView | null {
  switch (spec?.kind.case) {
    case "budget":
      return fromProtoBudget(spec.kind.value);
    case "rateLimit":
      return fromProtoRateLimit(spec.kind.value);
    case "guardrail":
      return fromProtoGuardrail(spec.kind.value);
    case "preset":
      return fromProtoPreset(spec.kind.value);
    case undefined:
      return null;
  }
}

/** In a few words, for a line of a list. */
export function specText(spec: SpecView | null): string {
  if (spec === null) return "(unknown to this version of the CLI)";
  return specFields(spec)
    .map(([name, value]) => (name === "" ? value : `${name}: ${value}`))
    .join("; ");
}

/** One line for each rule. */
export function specFields(spec: SpecView): Fields {
  if ("limit_micro_usd" in spec) return [["", budgetText(spec)]];
  if ("window_secs" in spec) return [["", rateLimitText(spec)]];
  if ("guardrail" in spec || "rate_limit" in spec || "budget" in spec) return presetFields(spec);
  return guardrailFields(spec as GuardrailView);
}

function fromProtoBudget({ window, limitMicroUsd }: BudgetSpec) {
  return { window: word(BUDGET_WINDOWS, window), limit_micro_usd: fromProtoInteger(limitMicroUsd) };
}

function fromProtoRateLimit({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimitSpec) {
  const integer = (value: bigint | undefined) => (value === undefined ? undefined : fromProtoInteger(value));
  return {
    window_secs: windowSecs,
    ...present({
      max_requests: integer(maxRequests),
      max_tokens: integer(maxTokens),
      max_concurrent: integer(maxConcurrent),
    }),
  };
}

function fromProtoGuardrail(guardrail: GuardrailSpec) {
  const { modelAllow, modelDeny, maxRequestTokens, allowStreaming, contentPatterns, uninspectable } = guardrail;
  const patterns = contentPatterns.map(({ name, pattern, action, appliesTo }) => ({
    name,
    pattern,
    action: word(ACTIONS, action),
    applies_to: word(TARGETS, appliesTo),
  }));
  return present({
    model_allow: modelAllow?.models,
    model_deny: modelDeny?.models,
    max_request_tokens: maxRequestTokens === undefined ? undefined : fromProtoInteger(maxRequestTokens),
    allow_streaming: allowStreaming,
    content_patterns: patterns.length === 0 ? undefined : patterns,
    uninspectable: uninspectable === Uninspectable.UNSPECIFIED ? undefined : word(UNINSPECTABLE, uninspectable),
  });
}

function fromProtoPreset({ guardrail, rateLimit, budget }: PresetSpec) {
  return present({
    guardrail: guardrail && fromProtoGuardrail(guardrail),
    rate_limit: rateLimit && fromProtoRateLimit(rateLimit),
    budget: budget && fromProtoBudget(budget),
  });
}

function budgetText({ window, limit_micro_usd }: BudgetView): string {
  return `${formatMicroUsd(limit_micro_usd)} ${window === "total" ? "in total" : `per ${window}`}`;
}

function rateLimitText({ window_secs, max_requests, max_tokens, max_concurrent }: RateLimitView): string {
  const within = [
    ...(max_requests === undefined ? [] : [`${max_requests} requests`]),
    ...(max_tokens === undefined ? [] : [`${max_tokens} tokens`]),
  ];
  const parts = within.length === 0 ? [] : [`${within.join(" and ")} per ${window_secs} s`];
  return [...parts, ...(max_concurrent === undefined ? [] : [`${max_concurrent} at once`])].join(", ");
}

function guardrailFields(guardrail: GuardrailView): Fields {
  const { model_allow, model_deny, max_request_tokens, allow_streaming, content_patterns = [] } = guardrail;
  const fields: (readonly [string, string])[] = [];
  if (model_allow !== undefined) fields.push(["models", model_allow.join(", ") || "none"]);
  if (model_deny !== undefined) fields.push(["no models", model_deny.join(", ") || "none"]);
  if (max_request_tokens !== undefined) fields.push(["tokens", `at most ${max_request_tokens} per request`]);
  if (allow_streaming !== undefined) fields.push(["streaming", allow_streaming ? "yes" : "no"]);
  for (const { name, pattern, action, applies_to } of content_patterns) {
    fields.push([
      `pattern ${name}`,
      `${action} /${pattern}/ in ${applies_to === "both" ? "both" : `the ${applies_to}`}`,
    ]);
  }
  if (guardrail.uninspectable !== undefined) fields.push(["uninspectable content", guardrail.uninspectable]);
  return fields;
}

function presetFields({ guardrail, rate_limit, budget }: PresetView): Fields {
  return [
    ...(guardrail === undefined ? [] : guardrailFields(guardrail)),
    ...(rate_limit === undefined ? [] : ([["rate limit", rateLimitText(rate_limit)]] as const)),
    ...(budget === undefined ? [] : ([["budget", budgetText(budget)]] as const)),
  ];
}
