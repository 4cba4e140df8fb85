import { create, fromJson } from "@bufbuild/protobuf";
import { BudgetSpecSchema, GuardrailSpecSchema, PolicySpecSchema } from "@routeplane/contracts/policy";
import { StrictJson } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { fromStoredJson, fromWrittenJson, toSpecJson } from "./convert-json.ts";
import {
  findWord,
  fromProtoBudget,
  fromProtoGuardrail,
  fromProtoSpec,
  PROTO_PATTERN_ACTIONS,
  toProtoSpec,
  VALIDATED_WORDS,
} from "./convert-proto.ts";
import type { PolicySpec } from "./spec.ts";

const json = (value: unknown) => new StrictJson(value, "spec", (path, rule) => new Error(`${path}: ${rule}`));

const PATTERN = { name: "card", pattern: "\\d{16}", action: "redact", appliesTo: "response" } as const;
const GUARDRAIL = {
  modelAllow: [],
  modelDeny: ["*-preview"],
  maxRequestTokens: 9_000_000_000_000_000,
  allowStreaming: false,
  contentPatterns: [PATTERN],
  uninspectable: "pass",
  serviceTierAllow: ["auto", "default"],
  modalityAllow: [],
  hostedToolAllow: ["web_search"],
} as const;
const RATE_LIMIT = { windowSecs: 60, maxRequests: 1n, maxTokens: 9_000_000_000_000_000n, maxConcurrent: 100_000n };
const BUDGET = { window: "total", limitMicroUsd: 9_000_000_000_000_000n } as const;
const SPECS: readonly PolicySpec[] = [
  { kind: "guardrail", ...GUARDRAIL },
  { kind: "guardrail", allowStreaming: true },
  { kind: "rate_limit", ...RATE_LIMIT },
  { kind: "rate_limit", windowSecs: 1, maxTokens: 1n },
  { kind: "budget", ...BUDGET },
  { kind: "preset", guardrail: GUARDRAIL, rateLimit: RATE_LIMIT, budget: BUDGET },
  { kind: "preset", budget: BUDGET },
];

describe("a spec", () => {
  it.each(SPECS)("is unchanged after a round trip through JSON and through the contract's messages: $kind", (spec) => {
    const stored: unknown = JSON.parse(JSON.stringify(toSpecJson(spec)));
    expect(fromStoredJson(spec.kind, json(stored))).toEqual(spec);
    expect(fromWrittenJson(spec.kind, json(stored))).toEqual(spec);
    expect(fromProtoSpec(create(PolicySpecSchema, toProtoSpec(spec)))).toEqual(spec);
  });

  it("is stored under the names that users write", () => {
    expect(
      JSON.stringify(toSpecJson({ kind: "preset", guardrail: GUARDRAIL, rateLimit: RATE_LIMIT, budget: BUDGET })),
    ).toBe(
      '{"guardrail":{"model_allow":[],"model_deny":["*-preview"],"max_request_tokens":9000000000000000,' +
        '"allow_streaming":false,"content_patterns":[{"name":"card","pattern":"\\\\d{16}","action":"redact",' +
        '"applies_to":"response"}],"uninspectable":"pass","service_tier_allow":["auto","default"],"modality_allow":[],' +
        '"hosted_tool_allow":["web_search"]},"rate_limit":{"window_secs":60,"max_requests":1,' +
        '"max_tokens":9000000000000000,"max_concurrent":100000},"budget":{"window":"total","limit_micro_usd":9000000000000000}}',
    );
  });

  const pattern = { name: "card", pattern: "a" };
  it("gets the defaults of a pattern if a user has written it, but not if it was stored", () => {
    const written = fromWrittenJson("guardrail", json({ content_patterns: [pattern] }));
    expect(written.contentPatterns).toEqual([{ ...pattern, action: "block", appliesTo: "both" }]);
    expect(() => fromStoredJson("guardrail", json({ content_patterns: [pattern] }))).toThrow(
      "spec.content_patterns[0].action: must be one of block, redact",
    );
  });

  it("must be within the contract's bounds if a user has written it, and stays readable if it was stored", () => {
    const aboveBounds = { window_secs: 2_592_001, max_concurrent: 100_001 };
    expect(() => fromWrittenJson("rate_limit", json(aboveBounds))).toThrow(
      "spec.max_concurrent: must be a whole number",
    );
    expect(fromStoredJson("rate_limit", json(aboveBounds))).toMatchObject({
      windowSecs: 2_592_001,
      maxConcurrent: 100_001n,
    });
  });

  it.each<[PolicySpec["kind"], unknown]>([
    ["guardrail", { max_cost: 1 }],
    ["guardrail", {}],
    ["guardrail", { model_allow: [""] }],
    ["rate_limit", { window_secs: 60 }],
    ["budget", { window: "year", limit_micro_usd: 1 }],
    ["budget", { window: "day", limit_micro_usd: 2 ** 53 }],
    ["preset", {}],
    ["preset", { budget: null }],
  ])("is not read where its stored %s is %j", (kind, stored) => {
    expect(() => fromStoredJson(kind, json(stored))).toThrow(/^spec/);
  });
});

describe("a word that is not known", () => {
  const NEWER = 99;

  it("throws in a request that has passed validation", () => {
    const budget = fromJson(BudgetSpecSchema, { window: NEWER });
    expect(() => fromProtoBudget(budget, VALIDATED_WORDS)).toThrow("99 is none of hour, day, week, month, total");
  });

  it("becomes what the reader decides", () => {
    const guardrail = fromJson(GuardrailSpecSchema, {
      contentPatterns: [{ name: "a", pattern: "b", action: NEWER, appliesTo: "PATTERN_SCOPE_BOTH" }],
    });
    const { contentPatterns } = fromProtoGuardrail(guardrail, {
      ...VALIDATED_WORDS,
      action: (number) => findWord(PROTO_PATTERN_ACTIONS, number) ?? "unknown",
    });
    expect(contentPatterns).toEqual([{ name: "a", pattern: "b", action: "unknown", appliesTo: "both" }]);
  });
});
