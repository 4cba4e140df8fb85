import { type PolicySpec, toSpecJson } from "@routeplane/policy-spec";
import { expect, test } from "vitest";
import { draftOf, newDraft, toDraftJson } from "./draft.ts";

const SPECS: readonly PolicySpec[] = [
  { kind: "budget", window: "total", limitMicroUsd: 9_000_000_000_000_000n },
  { kind: "budget", window: "calendar_month", timeZone: "europe/berlin", limitMicroUsd: 1n },
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

test("a form keeps every rule of the spec that it is opened with", () => {
  for (const spec of SPECS) expect(toDraftJson(draftOf("any", spec))).toEqual(toSpecJson(spec));
});

test("an empty field sets no rule, and a text that is not a number is kept as text", () => {
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

test("a calendar window has a time zone, by default the browser's, and other windows have none", () => {
  const { budget, ...draft } = newDraft("budget");
  const json = (change: object) => toDraftJson({ ...draft, budget: { ...budget, limitUsd: "1", ...change } });
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  expect(json({ window: "calendar_day" })).toEqual({
    window: "calendar_day",
    time_zone: timeZone,
    limit_micro_usd: 1_000_000,
  });
  expect(json({ window: "calendar_month", timeZone: " Asia/Tokyo " })).toMatchObject({ time_zone: "Asia/Tokyo" });
  expect(json({ window: "week", timeZone: "Asia/Tokyo" })).toEqual({ window: "week", limit_micro_usd: 1_000_000 });
});

test("blank lines are not models", () => {
  const draft = newDraft("guardrail");
  const guardrail = { ...draft.guardrail, modelAllow: "\n gpt-4o \n\n", modelDeny: " \n" };
  expect(toDraftJson({ ...draft, guardrail })).toEqual({ model_allow: ["gpt-4o"] });
});
