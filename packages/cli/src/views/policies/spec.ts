import type { PolicySpec } from "@routeplane/contracts/policy";
import { toBudgetJson, toGuardrailJson, toPresetJson, toRateLimitJson } from "@routeplane/policy-spec";
import {
  findWord,
  fromProtoBudget,
  fromProtoGuardrail,
  fromProtoPreset,
  fromProtoRateLimit,
  PROTO_BUDGET_WINDOWS,
  PROTO_PATTERN_ACTIONS,
  PROTO_PATTERN_TARGETS,
  PROTO_UNINSPECTABLE,
  type WordReader,
} from "@routeplane/policy-spec/proto";
import { formatMicroUsd } from "../../output/money.ts";
import { budgetWindowText } from "./budget-window.ts";

/** Word for an enum number, on the command line and in JSON; `unknown` for a number that only newer nodes send. */
export function wordOf(words: Readonly<Record<string, number>>, number: number): string {
  return findWord(words, number) ?? "unknown";
}

/** Spec as users write it, without the fields that are not set. */
export type SpecView = BudgetView | RateLimitView | GuardrailView | PresetView;

type BudgetView = ReturnType<typeof toBudgetJson>;
type RateLimitView = ReturnType<typeof toRateLimitJson>;
type GuardrailView = ReturnType<typeof toGuardrailJson>;
type PresetView = ReturnType<typeof toPresetJson>;
type Fields = readonly (readonly [name: string, value: string])[];

const SHOWN_WORDS: WordReader<string, string, string, string> = {
  window: (number) => wordOf(PROTO_BUDGET_WINDOWS, number),
  action: (number) => wordOf(PROTO_PATTERN_ACTIONS, number),
  target: (number) => wordOf(PROTO_PATTERN_TARGETS, number),
  uninspectable: (number) => wordOf(PROTO_UNINSPECTABLE, number),
};

/** Converts a spec; null if this CLI does not know its kind. */
export function fromProtoSpec(spec: PolicySpec | undefined): SpecView | null {
  switch (spec?.kind.case) {
    case "budget":
      return toBudgetJson(fromProtoBudget(spec.kind.value, SHOWN_WORDS));
    case "rateLimit":
      return toRateLimitJson(fromProtoRateLimit(spec.kind.value));
    case "guardrail":
      return toGuardrailJson(fromProtoGuardrail(spec.kind.value, SHOWN_WORDS));
    case "preset":
      return toPresetJson(fromProtoPreset(spec.kind.value, SHOWN_WORDS));
    case undefined:
      return null;
  }
}

/** Spec on one line, for lists. */
export function specText(spec: SpecView | null): string {
  if (spec === null) return "(unknown to this version of the CLI)";
  return specFields(spec)
    .map(([name, value]) => (name === "" ? value : `${name}: ${value}`))
    .join("; ");
}

/** Fields of a spec, one for each rule. A field without a name is the whole spec. */
export function specFields(spec: SpecView): Fields {
  if ("limit_micro_usd" in spec) return [["", budgetText(spec)]];
  if ("window_secs" in spec) return [["", rateLimitText(spec)]];
  if ("guardrail" in spec || "rate_limit" in spec || "budget" in spec) return presetFields(spec);
  return guardrailFields(spec as GuardrailView);
}

function budgetText(budget: BudgetView): string {
  return `${formatMicroUsd(budget.limit_micro_usd)} ${budgetWindowText(budget)}`;
}

function rateLimitText({ window_secs, max_requests, max_tokens, max_concurrent }: RateLimitView): string {
  const maxima = [
    ...(max_requests === undefined ? [] : [`${max_requests} requests`]),
    ...(max_tokens === undefined ? [] : [`${max_tokens} tokens`]),
  ];
  const parts = maxima.length === 0 ? [] : [`${maxima.join(" and ")} per ${window_secs} s`];
  return [...parts, ...(max_concurrent === undefined ? [] : [`${max_concurrent} at once`])].join(", ");
}

function guardrailFields(guardrail: GuardrailView): Fields {
  const { model_allow, model_deny, max_request_tokens, allow_streaming, content_patterns = [] } = guardrail;
  const fields: (readonly [string, string])[] = [];
  if (model_allow !== undefined) fields.push(["allowed models", model_allow.join(", ") || "none"]);
  if (model_deny !== undefined) fields.push(["denied models", model_deny.join(", ") || "none"]);
  if (max_request_tokens !== undefined) fields.push(["tokens", `at most ${max_request_tokens} per request`]);
  if (allow_streaming !== undefined) fields.push(["streaming", allow_streaming ? "yes" : "no"]);
  for (const { name, pattern, action, applies_to } of content_patterns) {
    fields.push([
      `pattern ${name}`,
      `${action} /${pattern}/ in ${applies_to === "both" ? "request and response" : `the ${applies_to}`}`,
    ]);
  }
  if (guardrail.uninspectable !== undefined) fields.push(["uninspectable content", guardrail.uninspectable]);
  const { service_tier_allow, modality_allow, hosted_tool_allow } = guardrail;
  if (service_tier_allow !== undefined) fields.push(["service tiers", service_tier_allow.join(", ") || "none"]);
  if (modality_allow !== undefined) fields.push(["output", modality_allow.join(", ") || "none"]);
  if (hosted_tool_allow !== undefined) fields.push(["hosted tools", hosted_tool_allow.join(", ") || "none"]);
  return fields;
}

function presetFields({ guardrail, rate_limit, budget }: PresetView): Fields {
  return [
    ...(guardrail === undefined ? [] : guardrailFields(guardrail)),
    ...(rate_limit === undefined ? [] : ([["rate limit", rateLimitText(rate_limit)]] as const)),
    ...(budget === undefined ? [] : ([["budget", budgetText(budget)]] as const)),
  ];
}
