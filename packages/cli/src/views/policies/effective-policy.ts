import {
  type EffectiveBudget,
  type EffectiveGuardrail,
  type EffectivePolicy,
  type EffectiveRateLimit,
  type PolicySource,
  type SourcedNames,
  type SourcedUninspectable,
} from "@routeplane/contracts/policy";
import { definedFields } from "@routeplane/domain";
import {
  PROTO_BINDING_MODES,
  PROTO_BUDGET_WINDOWS,
  PROTO_PATTERN_ACTIONS,
  PROTO_PATTERN_TARGETS,
  PROTO_PRINCIPAL_TYPES,
  PROTO_UNINSPECTABLE,
} from "@routeplane/policy-spec/proto";
import { formatMicroUsd, formatUsd } from "../../output/money.ts";
import type { Style } from "../../output/style.ts";
import { block, type Column, table } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { fromProtoInteger, requirePresent, fromProtoTime } from "../values.ts";
import { budgetWindowText } from "./budget-window.ts";
import { wordOf } from "./spec.ts";

export type EffectivePolicyView = ReturnType<typeof fromProtoEffectivePolicy>;
type SourceView = ReturnType<typeof fromProtoSource>;
type GuardrailView = ReturnType<typeof fromProtoGuardrail>;
type BudgetView = ReturnType<typeof fromProtoBudget>;
type RateLimitView = ReturnType<typeof fromProtoRateLimit>;

export function fromProtoEffectivePolicy(effective: EffectivePolicy) {
  const { principalType, principalId, lineage, guardrail, shadowGuardrail, budgets, rateLimits } = effective;
  return {
    principal_type: wordOf(PROTO_PRINCIPAL_TYPES, principalType),
    principal_id: principalId,
    lineage,
    guardrail: guardrail === undefined ? null : fromProtoGuardrail(guardrail),
    shadow_guardrail: shadowGuardrail === undefined ? null : fromProtoGuardrail(shadowGuardrail),
    budgets: budgets.map(fromProtoBudget),
    rate_limits: rateLimits.map(fromProtoRateLimit),
  };
}

function fromProtoSource({ policyId, policyName, bindingId, principalType, principalId, mode }: PolicySource) {
  return {
    policy_id: policyId,
    policy_name: policyName,
    binding_id: bindingId,
    principal_type: wordOf(PROTO_PRINCIPAL_TYPES, principalType),
    principal_id: principalId,
    mode: wordOf(PROTO_BINDING_MODES, mode),
  };
}

function fromProtoGuardrail(guardrail: EffectiveGuardrail) {
  const { modelAllow, modelDeny, maxRequestTokens: cap, allowStreaming, contentPatterns } = guardrail;
  const from = (sources: readonly PolicySource[]) => sources.map(fromProtoSource);
  return {
    model_allow: modelAllow.map(({ models, sources }) => ({ models, sources: from(sources) })),
    model_deny: modelDeny.map(({ model, sources }) => ({ model, sources: from(sources) })),
    max_request_tokens: cap ? { tokens: fromProtoInteger(cap.tokens), sources: from(cap.sources) } : null,
    allow_streaming: allowStreaming ? { allowed: allowStreaming.allowed, sources: from(allowStreaming.sources) } : null,
    content_patterns: contentPatterns.map(({ pattern, sources }) => {
      const { name, pattern: text, action, appliesTo } = requirePresent(pattern);
      const [does, target] = [wordOf(PROTO_PATTERN_ACTIONS, action), wordOf(PROTO_PATTERN_TARGETS, appliesTo)];
      return { name, pattern: text, action: does, applies_to: target, sources: from(sources) };
    }),
    uninspectable_request: fromProtoUninspectable(guardrail.uninspectableRequest),
    uninspectable_response: fromProtoUninspectable(guardrail.uninspectableResponse),
    service_tier_allow: guardrail.serviceTierAllow.map(fromProtoNames),
    modality_allow: guardrail.modalityAllow.map(fromProtoNames),
    hosted_tool_allow: guardrail.hostedToolAllow.map(fromProtoNames),
  };
}

function fromProtoNames({ names, sources }: SourcedNames) {
  return { names, sources: sources.map(fromProtoSource) };
}

function fromProtoUninspectable(rule: SourcedUninspectable | undefined) {
  return rule === undefined
    ? null
    : { action: wordOf(PROTO_UNINSPECTABLE, rule.action), sources: rule.sources.map(fromProtoSource) };
}

function fromProtoBudget({ source, spec, freesUpAt, ...use }: EffectiveBudget) {
  const { window, timeZone, limitMicroUsd } = requirePresent(spec);
  return {
    ...fromProtoSource(requirePresent(source)),
    window: wordOf(PROTO_BUDGET_WINDOWS, window),
    ...definedFields({ time_zone: timeZone }),
    limit_micro_usd: fromProtoInteger(limitMicroUsd),
    spent_micro_usd: fromProtoInteger(use.spentMicroUsd),
    reserved_micro_usd: fromProtoInteger(use.reservedMicroUsd),
    leased_micro_usd: fromProtoInteger(use.leasedMicroUsd),
    held_back_micro_usd: fromProtoInteger(use.heldBackMicroUsd),
    remaining_micro_usd: fromProtoInteger(use.remainingMicroUsd),
    frees_up_at: fromProtoTime(freesUpAt),
  };
}

function fromProtoRateLimit({ source, spec, freesUpAt, ...use }: EffectiveRateLimit) {
  const { windowSecs, maxRequests, maxTokens, maxConcurrent } = requirePresent(spec);
  const maximum = (max: bigint | undefined): number | null => (max === undefined ? null : fromProtoInteger(max));
  return {
    ...fromProtoSource(requirePresent(source)),
    window_secs: windowSecs,
    max_requests: maximum(maxRequests),
    max_tokens: maximum(maxTokens),
    max_concurrent: maximum(maxConcurrent),
    requests: fromProtoInteger(use.requests),
    tokens: fromProtoInteger(use.tokens),
    concurrent: fromProtoInteger(use.concurrent),
    frees_up_at: fromProtoTime(freesUpAt),
  };
}

/** Text for people: the principal, then a table for each kind of policy that applies. */
export function effectivePolicyText(effective: EffectivePolicyView, style: Style): string {
  const { principal_type: type, principal_id: id, lineage, budgets, rate_limits: rateLimits } = effective;
  const from = ({ principal_type, principal_id }: SourceView): string =>
    principal_id === id ? `this ${principal_type === "namespace" ? "namespace" : "key"}` : principal_id;
  const rules = [...rulesOf(effective.guardrail), ...rulesOf(effective.shadow_guardrail)];
  const above = lineage.slice(0, -1);
  const parts = [
    block([
      ["principal", `${type} ${id}`],
      ...(type === "namespace" ? [] : [["keys above", above.length === 0 ? "none" : above.join(" > ")] as const]),
    ]),
    ...(rules.length === 0 ? [] : [table(ruleColumns(from), rules, style)]),
    ...(budgets.length === 0 ? [] : [table(budgetColumns(from), budgets, style)]),
    ...(rateLimits.length === 0 ? [] : [table(rateLimitColumns(from), rateLimits, style)]),
  ];
  return parts.join("\n\n");
}

interface Rule {
  readonly rule: string;
  readonly value: string;
  readonly source: SourceView;
}

/** Table rows of a guardrail: one for each rule and each policy that sets it. */
function rulesOf(guardrail: GuardrailView | null): readonly Rule[] {
  if (guardrail === null) return [];
  const { model_allow, model_deny, max_request_tokens: cap, allow_streaming: streaming, content_patterns } = guardrail;
  const lines = (rule: string, value: string, sources: readonly SourceView[]): readonly Rule[] =>
    sources.map((source) => ({ rule, value, source }));
  const uninspectable = (rule: GuardrailView["uninspectable_request"], direction: string): readonly Rule[] =>
    rule === null ? [] : lines(`${rule.action} ${direction}`, "content that cannot be inspected", rule.sources);
  const names = (rule: string, lists: GuardrailView["service_tier_allow"]): readonly Rule[] =>
    lists.flatMap((list) => lines(rule, list.names.join(", ") || "none", list.sources));
  return [
    ...model_allow.flatMap(({ models, sources }) => lines("allow", models.join(", ") || "no model", sources)),
    ...model_deny.flatMap(({ model, sources }) => lines("deny", model, sources)),
    ...(cap === null ? [] : lines("max tokens", String(cap.tokens), cap.sources)),
    ...(streaming === null ? [] : lines("streaming", streaming.allowed ? "allowed" : "not allowed", streaming.sources)),
    ...content_patterns.flatMap(({ name, pattern, action, applies_to, sources }) =>
      lines(`${action} ${applies_to}`, `${name}: ${pattern}`, sources),
    ),
    ...uninspectable(guardrail.uninspectable_request, "request"),
    ...uninspectable(guardrail.uninspectable_response, "response"),
    ...names("service tiers", guardrail.service_tier_allow),
    ...names("output", guardrail.modality_allow),
    ...names("hosted tools", guardrail.hosted_tool_allow),
  ];
}

type From = (source: SourceView) => string;

function sourceColumns<Row>(from: From, sourceOf: (row: Row) => SourceView): readonly Column<Row>[] {
  return [
    { header: "MODE", leaveOutRank: 3, cell: (row) => sourceOf(row).mode },
    { header: "POLICY", cell: (row) => sourceOf(row).policy_name },
    { header: "BOUND TO", cell: (row) => from(sourceOf(row)) },
  ];
}

function ruleColumns(from: From): readonly Column<Rule>[] {
  return [
    { header: "GUARDRAIL", cell: ({ rule }) => rule },
    { header: "VALUE", cell: ({ value }) => value },
    ...sourceColumns<Rule>(from, ({ source }) => source),
  ];
}

function budgetColumns(from: From): readonly Column<BudgetView>[] {
  return [
    { header: "BUDGET", cell: (row) => `${formatMicroUsd(row.limit_micro_usd)} ${budgetWindowText(row)}` },
    { header: "SPENT", cell: ({ spent_micro_usd }) => formatUsd(spent_micro_usd), right: "point" },
    {
      header: "RESERVED",
      leaveOutRank: 2,
      cell: reservedText,
      right: true,
    },
    { header: "LEFT", cell: ({ remaining_micro_usd }) => formatUsd(remaining_micro_usd), right: "point" },
    {
      header: "FREES UP",
      leaveOutRank: 1,
      cell: ({ frees_up_at }) => (frees_up_at === null ? "" : formatTime(frees_up_at)),
    },
    ...sourceColumns<BudgetView>(from, (row) => row),
  ];
}

/** Reserved amount, and its parts that are not reserved for running requests, e.g. `$0.31 ($0.30 leased)`. */
function reservedText({ reserved_micro_usd, leased_micro_usd, held_back_micro_usd }: BudgetView): string {
  const parts = [
    leased_micro_usd === 0 ? "" : `${formatUsd(leased_micro_usd)} leased`,
    held_back_micro_usd === 0 ? "" : `${formatUsd(held_back_micro_usd)} held back`,
  ].filter((part) => part !== "");
  const text = formatUsd(reserved_micro_usd);
  return parts.length === 0 ? text : `${text} (${parts.join(", ")})`;
}

function rateLimitColumns(from: From): readonly Column<RateLimitView>[] {
  const used = (count: number, max: number | null): string => (max === null ? "" : `${count} of ${max}`);
  return [
    { header: "RATE LIMIT", cell: ({ window_secs }) => `per ${window_secs} s` },
    { header: "REQUESTS", cell: ({ requests, max_requests }) => used(requests, max_requests), right: true },
    { header: "TOKENS", cell: ({ tokens, max_tokens }) => used(tokens, max_tokens), right: true },
    { header: "CONCURRENT", cell: ({ concurrent, max_concurrent }) => used(concurrent, max_concurrent), right: true },
    {
      header: "FREES UP",
      leaveOutRank: 1,
      cell: ({ frees_up_at }) => (frees_up_at === null ? "" : formatTime(frees_up_at)),
    },
    ...sourceColumns<RateLimitView>(from, (row) => row),
  ];
}
