import { type PolicySpec, toSpecJson } from "@routeplane/policy-spec";
import { expect, test } from "vitest";
import { draftOf, newDraft, toDraftJson } from "./draft.ts";

const SPECS: readonly PolicySpec[] = [
  { kind: "budget", window: "total", limitMicroUsd: 9_000_000_000_000_000n },
  { kind: "rate_limit", windowSecs: 5_400, maxRequests: 5n },
  { kind: "rate_limit", windowSecs: 61, maxTokens: 7n, maxConcurrent: 2n },
  {
    kind: "guardrail",
    modelAllow: [],
    modelDeny: ["gpt-4*", "o3"],
    maxRequestTokens: 8_000,
    allowStreaming: true,
    contentPatterns: [{ name: "ssn", pattern: "\\d{3}", action: "redact", appliesTo: "response" }],
    uninspectable: "pass",
    serviceTierAllow: [],
    modalityAllow: ["text"],
    hostedToolAllow: ["mcp"],
  },
  { kind: "preset", budget: { window: "day", limitMicroUsd: 1n }, guardrail: { allowStreaming: false } },
];

test("a form keeps every rule of a spec that it is opened with", () => {
  for (const spec of SPECS) expect(toDraftJson(draftOf("any", spec))).toEqual(toSpecJson(spec));
});

test("an empty field is no rule, and what is no number stays a text", () => {
  const draft = newDraft("preset");
  expect(toDraftJson(draft)).toEqual({
    budget: { window: "month", limit_micro_usd: "" },
    rate_limit: { window_secs: 60 },
  });
  const rateLimit = { ...draft.rateLimit, windowCount: "1,5x", maxRequests: "1,000", maxTokens: "-1" };
  expect(toDraftJson({ ...draft, kind: "rate_limit", rateLimit })).toEqual({
    window_secs: "1,5x",
    max_requests: 1_000,
    max_tokens: "-1",
  });
});

test("blank lines are no models", () => {
  const draft = newDraft("guardrail");
  const guardrail = { ...draft.guardrail, modelAllow: "\n gpt-4o \n\n", modelDeny: " \n" };
  expect(toDraftJson({ ...draft, guardrail })).toEqual({ model_allow: ["gpt-4o"] });
});
