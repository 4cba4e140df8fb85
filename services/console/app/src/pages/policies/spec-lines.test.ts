import { expect, test } from "vitest";
import { windowText, specLines, specSummary } from "./spec-lines.ts";

test("puts every rule of a preset into words", () => {
  const lines = specLines({
    kind: "preset",
    budget: { window: "month", limitMicroUsd: 50_000_000n },
    rateLimit: { windowSecs: 60, maxRequests: 5n, maxTokens: 1_000n, maxConcurrent: 2n },
    guardrail: {
      modelAllow: [],
      modelDeny: ["gpt-4*", "o3"],
      maxRequestTokens: 8_000,
      allowStreaming: false,
      contentPatterns: [{ name: "ssn", pattern: "\\d{3}-\\d{2}", action: "redact", appliesTo: "response" }],
      uninspectable: "block",
      serviceTierAllow: ["default"],
      modalityAllow: ["text"],
      hostedToolAllow: [],
    },
  });
  expect(lines.map(({ rule, value }) => `${rule}: ${value}`)).toEqual([
    "Spend: $50.00 in any 30 days",
    "Requests: 5 in any minute",
    "Tokens: 1,000 in any minute",
    "At the same time: 2",
    "Only models: none",
    "No models: gpt-4*, o3",
    "Tokens of one request: at most 8,000",
    "Streams: refused",
    "Redacts in answers: ssn: \\d{3}-\\d{2}",
    "Content that cannot be inspected: refused",
    "Only service tiers: default",
    "Only output: text",
    "Only hosted tools: none",
  ]);
});

test("names the time zone of a calendar window", () => {
  const budget = { kind: "budget", timeZone: "Europe/Berlin", limitMicroUsd: 5_000_000n } as const;
  expect(specSummary({ ...budget, window: "calendar_month" })).toBe("Spend: $5.00 in a calendar month, Europe/Berlin");
  expect(specSummary({ ...budget, window: "calendar_day" })).toBe("Spend: $5.00 in a calendar day, Europe/Berlin");
});

test("summarises a spec within the space of a table", () => {
  const modelAllow = [`provider/${"m".repeat(900)}`];
  const summary = specSummary({
    kind: "guardrail",
    modelAllow,
    modelDeny: ["a"],
    allowStreaming: false,
    maxRequestTokens: 1,
  });
  expect(summary).toMatch(
    /^Only models: provider\/m{50}…; No models: a; Tokens of one request: at most 1; and 1 more$/,
  );
});

test("shows a window in its largest whole unit", () => {
  expect([1, 60, 90, 7_200, 2_592_000].map(windowText)).toEqual([
    "in any second",
    "in any minute",
    "in any 90 seconds",
    "in any 2 hours",
    "in any 30 days",
  ]);
});
