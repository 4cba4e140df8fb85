import { expect, test } from "vitest";
import { policyNameFault, readWritten, specFaults } from "./spec-faults.ts";

const faults = (...args: Parameters<typeof specFaults>) => Object.fromEntries(specFaults(...args));

test("reports every field of a preset that breaks a rule, by its path", () => {
  const json = {
    budget: { window: "fortnight", limit_micro_usd: 0 },
    rate_limit: { window_secs: 2_592_001, max_concurrent: "x" },
    guardrail: { model_allow: ["gpt-4o", "\u200b"], content_patterns: [{ name: "a", pattern: "b" }, { name: "c" }] },
  };
  expect(faults("preset", json)).toEqual({
    "spec.budget.window": "must be one of hour, day, week, month, total, calendar_day, calendar_month",
    "spec.budget.limit_micro_usd": "must be a whole number from 1 to 9000000000000000",
    "spec.rate_limit.window_secs": "must be a whole number from 1 to 2592000",
    "spec.rate_limit.max_concurrent": "must be a whole number from 1 to 100000",
    "spec.guardrail.model_allow[1]": "must not be blank",
    "spec.guardrail.content_patterns[1].pattern": "must be a text",
  });
});

test("validates a time zone by its window, even if other fields have faults", () => {
  const faulty = { limit_micro_usd: 0, time_zone: "Mars/Olympus" };
  const limit = "must be a whole number from 1 to 9000000000000000";
  expect(faults("budget", { ...faulty, window: "calendar_day" })).toEqual({
    "spec.limit_micro_usd": limit,
    "spec.time_zone": "must be the name of a time zone, e.g. Europe/Berlin",
  });
  expect(faults("budget", { ...faulty, window: "calendar_day", time_zone: "UTC" })).toEqual({
    "spec.limit_micro_usd": limit,
  });
  expect(faults("budget", { window: "day", limit_micro_usd: 1, time_zone: "UTC" })).toEqual({
    "spec.time_zone": "is for the windows calendar_day and calendar_month alone",
  });
});

test("applies the bounds of the service to lists and texts", () => {
  const pattern = { name: "n".repeat(65), pattern: "p".repeat(513) };
  expect(
    faults("guardrail", { model_allow: Array.from({ length: 101 }, () => "m"), model_deny: ["m".repeat(257)] }),
  ).toEqual({
    "spec.model_allow": "must have at most 100 models",
    "spec.model_deny[0]": "must have at most 256 characters",
  });
  expect(faults("guardrail", { content_patterns: [pattern] })).toEqual({
    "spec.content_patterns[0].name": "must have at most 64 characters",
    "spec.content_patterns[0].pattern": "must have at most 512 characters",
  });
  const many = Array.from({ length: 51 }, (_, index) => ({ name: `p${index}`, pattern: "p" }));
  expect(faults("guardrail", { content_patterns: many })).toEqual({
    "spec.content_patterns": "must have at most 50 patterns",
  });
});

test("names the possible rules for a spec without a rule, and the expected shape for other JSON", () => {
  expect(faults("rate_limit", { window_secs: 60 })).toEqual({
    spec: "must set at least one of max_requests, max_tokens and max_concurrent",
  });
  expect(faults("preset", {})).toEqual({ spec: "must set at least one of guardrail, rate_limit, budget" });
  expect(faults("preset", { budget: [] })["spec.budget"]).toMatch(/^must be an object/);
  expect(faults("budget", null)["spec"]).toMatch(/^must be an object/);
  expect(faults("budget", { window: "day", limit_micro_usd: 1, limit: 2 })["spec.limit"]).toMatch(/^is not known/);
});

test("reads a spec without faults", () => {
  const json = { window: "day", limit_micro_usd: 1 };
  expect(faults("budget", json)).toEqual({});
  expect(readWritten("budget", json)).toEqual({ kind: "budget", window: "day", limitMicroUsd: 1n });
});

test("counts the characters of a name, not their code units", () => {
  expect(policyNameFault("😀".repeat(100))).toBeUndefined();
  expect(policyNameFault("a".repeat(101))).toBe("must have at most 100 characters");
  expect(policyNameFault(" ")).toBe("must not be blank");
});
