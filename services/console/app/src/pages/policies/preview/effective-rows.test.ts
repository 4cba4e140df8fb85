import { create, fromJson } from "@bufbuild/protobuf";
import {
  BindingMode,
  BudgetWindow,
  EffectivePolicySchema,
  PatternAction,
  PatternScope,
  PrincipalType,
  Uninspectable,
} from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { effectiveRows } from "./effective-rows.ts";

const source = (policyId: string, mode = BindingMode.ENFORCE) => {
  return { policyId, policyName: policyId, bindingId: `bnd_${policyId}`, principalType: PrincipalType.NAMESPACE, mode };
};

const EFFECTIVE = create(EffectivePolicySchema, {
  budgets: [
    {
      source: source("pol_budget"),
      spec: { window: BudgetWindow.MONTH, limitMicroUsd: 5_000_000n },
      spentMicroUsd: 7n,
    },
  ],
  rateLimits: [{ source: source("pol_rate"), spec: { windowSecs: 60, maxRequests: 2n, maxTokens: 3n }, requests: 1n }],
  guardrail: {
    modelAllow: [{ models: ["a", "b"], sources: [source("pol_a"), source("pol_b")] }],
    modelDeny: [{ model: "c", sources: [source("pol_a")] }],
    maxRequestTokens: { tokens: 9n, sources: [source("pol_a")] },
    allowStreaming: { allowed: false, sources: [source("pol_a")] },
    contentPatterns: [
      {
        pattern: { name: "p", pattern: "x", action: PatternAction.BLOCK, appliesTo: PatternScope.BOTH },
        sources: [source("pol_a")],
      },
    ],
    uninspectableRequest: { action: Uninspectable.BLOCK, sources: [source("pol_a")] },
    uninspectableResponse: { action: Uninspectable.BLOCK, sources: [source("pol_b")] },
    serviceTierAllow: [{ names: [], sources: [source("pol_a")] }],
    modalityAllow: [{ names: ["text"], sources: [source("pol_a")] }],
    hostedToolAllow: [{ names: ["mcp"], sources: [source("pol_a")] }],
  },
  shadowGuardrail: { modelDeny: [{ model: "d", sources: [source("pol_s", BindingMode.SHADOW)] }] },
});

test("lists every rule that applies, once for each policy that has it", () => {
  const rows = effectiveRows(EFFECTIVE, undefined, undefined);
  expect(rows.map(({ rule, value, source }) => `${rule}: ${value} (${source?.policyId})`)).toEqual([
    "Spend: $5.00 in any 30 days (pol_budget)",
    "Requests: 2 in any minute (pol_rate)",
    "Tokens: 3 in any minute (pol_rate)",
    "Only models: a, b (pol_a)",
    "Only models: a, b (pol_b)",
    "No models: c (pol_a)",
    "Tokens of one request: at most 9 (pol_a)",
    "Streams: refused (pol_a)",
    "Blocks in requests and answers: p: x (pol_a)",
    "Content that cannot be inspected, in requests: refused (pol_a)",
    "Content that cannot be inspected, in answers: refused (pol_b)",
    "Only service tiers: none (pol_a)",
    "Only output: text (pol_a)",
    "Only hosted tools: mcp (pol_a)",
    "No models: d (pol_s)",
  ]);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  expect(rows[0]?.budget?.spentMicroUsd).toBe(7n);
  expect(rows[1]?.rateLimit?.requests).toBe(1n);
});

test("puts the draft first, and marks the rules that it would replace", () => {
  const rows = effectiveRows(EFFECTIVE, { kind: "budget", window: "day", limitMicroUsd: 1n }, "pol_budget");
  expect(rows.slice(0, 3).map(({ value, source, isReplaced }) => [value, source?.policyId, isReplaced])).toEqual([
    ["$0.000001 in any 24 hours", undefined, false],
    ["$5.00 in any 30 days", "pol_budget", true],
    ["2 in any minute", "pol_rate", false],
  ]);
});

test("lists a rule that only newer nodes know", () => {
  const json = { budgets: [{ source: { policyId: "pol_new" }, spec: { window: 99, limitMicroUsd: "1" } }] };
  expect(effectiveRows(fromJson(EffectivePolicySchema, json), undefined, undefined)).toMatchObject([
    { rule: "Unknown rule", source: { policyId: "pol_new" } },
  ]);
});
