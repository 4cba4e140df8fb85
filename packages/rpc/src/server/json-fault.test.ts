import { KeySchema, ListKeysRequestSchema, UpdateKeyRequestSchema } from "@routeplane/contracts/auth";
import { BindPolicyRequestSchema, CreatePolicyRequestSchema } from "@routeplane/contracts/policy";
import { describe, expect, it } from "vitest";
import { jsonFault } from "./json-fault.ts";

const patterns = [{ name: "a" }, { name: "b", appliesTo: 1 }, { name: "c", foo: 1 }];
const WINDOWS =
  "must be one of BUDGET_WINDOW_HOUR, BUDGET_WINDOW_DAY, BUDGET_WINDOW_WEEK, BUDGET_WINDOW_MONTH, BUDGET_WINDOW_TOTAL, BUDGET_WINDOW_CALENDAR_DAY, BUDGET_WINDOW_CALENDAR_MONTH";
const WHOLE = "must be a whole number of at most";

describe("the fault in the JSON of a message", () => {
  it.each([
    [{ foo: 1 }, "foo", "is not known"],
    [{ spec: { foo: 1 } }, "spec.foo", "is not known"],
    [{ name: "a", spec: { rateLimit: { windowSecs: 60, maxCost: 5 } } }, "spec.rate_limit.maxCost", "is not known"],
    [{ spec: { guardrail: { contentPatterns: patterns } } }, "spec.guardrail.content_patterns[2].foo", "is not known"],
    [{ spec: { budget: { limitMicroUsd: 1.5 } } }, "spec.budget.limit_micro_usd", `${WHOLE} 64 bits`],
    [{ spec: { budget: { limit_micro_usd: "9".repeat(30) } } }, "spec.budget.limit_micro_usd", `${WHOLE} 64 bits`],
    [{ spec: { rateLimit: { windowSecs: 3e9 } } }, "spec.rate_limit.window_secs", `${WHOLE} 32 bits`],
    [{ spec: { budget: { window: "day" } } }, "spec.budget.window", WINDOWS],
    [{ spec: { guardrail: { allowStreaming: "yes" } } }, "spec.guardrail.allow_streaming", "must be true or false"],
    [{ spec: { guardrail: { modelAllow: ["a"] } } }, "spec.guardrail.model_allow", "must be an object"],
    [
      { spec: { guardrail: { modelAllow: { models: [5] } } } },
      "spec.guardrail.model_allow.models[0]",
      "must be a text",
    ],
    [{ spec: { guardrail: { contentPatterns: {} } } }, "spec.guardrail.content_patterns", "must be a list"],
    [{ spec: { guardrail: { contentPatterns: [null] } } }, "spec.guardrail.content_patterns[0]", "must be an object"],
    [{ spec: { budget: {}, preset: {} } }, "spec", "must set exactly one of budget, guardrail, rate_limit, preset"],
    [
      { spec: { rateLimit: {}, rate_limit: {} } },
      "spec.rate_limit",
      "is given twice, under both spellings of its name",
    ],
    [{ spec: [] }, "spec", "must be an object"],
    [null, "", "must be an object"],
  ])("of %j has a path and a rule", (json, field, rule) => {
    expect(jsonFault(CreatePolicyRequestSchema, json)).toEqual({ field, rule });
  });

  it.each([
    {},
    { name: null, spec: null },
    { spec: { budget: { window: 1, limit_micro_usd: "5" } } },
    { spec: { guardrail: { modelAllow: { models: ["a"] }, contentPatterns: [{ action: "PATTERN_ACTION_BLOCK" }] } } },
    { "not a name": 1 },
  ])("is undefined without a fault, or without a name that can be quoted: %j", (json) => {
    expect(jsonFault(CreatePolicyRequestSchema, json)).toBeUndefined();
  });

  it("of a well-known type is reported for the field as a whole", () => {
    expect(
      jsonFault(UpdateKeyRequestSchema, { updateMask: "name", expiresAt: "2027-01-01T00:00:00Z" }),
    ).toBeUndefined();
    expect(jsonFault(KeySchema, { createdAt: { seconds: 1 } })).toMatchObject({ field: "created_at" });
    expect(jsonFault(UpdateKeyRequestSchema, { updateMask: ["name"] })).toMatchObject({ field: "update_mask" });
    expect(jsonFault(ListKeysRequestSchema, { pageSize: "x" })).toMatchObject({ field: "page_size" });
    expect(jsonFault(BindPolicyRequestSchema, { principalType: "api_key" })?.rule).toMatch(
      /^must be one of PRINCIPAL_/,
    );
  });
});
