import { expect, test } from "vitest";
import { adviceOf, reasonOf, type RequestEnd } from "./explanation.ts";
import { limitUnitOf } from "./limit-unit.ts";

const ANSWERED: RequestEnd = {
  status: "succeeded",
  errorCode: null,
  estimated: false,
  deniedRule: null,
  policy: null,
  retryAt: null,
};
const DENIED: RequestEnd = {
  ...ANSWERED,
  status: "denied",
  errorCode: "budget_exceeded",
  deniedRule: "budget",
  policy: { id: "pol_1", name: "daily-cap" },
};

test("names the policy that denied a request, and the reason of its rule", () => {
  expect(reasonOf(DENIED)).toBe('policy "daily-cap" has too little left for the request');
  expect(reasonOf({ ...DENIED, policy: { id: "pol_1", name: null } })).toMatch(/^policy pol_1 has too little/);
});

test("names the reason of every rule of a guardrail", () => {
  const rules = [
    "model_allow",
    "model_deny",
    "max_request_tokens",
    "allow_streaming",
    "content_patterns",
    "uninspectable",
    "service_tier_allow",
    "modality_allow",
    "hosted_tool_allow",
  ];
  const reasons = rules.map((rule) => reasonOf({ ...DENIED, deniedRule: `guardrail.${rule}` }));
  expect(reasons.filter((reason) => reason.includes("by its rule"))).toEqual([]);
  expect(new Set(reasons).size).toBe(rules.length);
});

test("names an unknown rule, and says if no rule is recorded", () => {
  expect(reasonOf({ ...DENIED, deniedRule: "quota.new" })).toBe(
    'policy "daily-cap" refuses the request by its rule quota.new',
  );
  expect(reasonOf({ ...DENIED, deniedRule: null, policy: null })).toBe(
    "a policy refuses the request by a rule that is not recorded",
  );
});

test("says how other requests ended, with the error that the client got", () => {
  const ends = [
    ANSWERED,
    { ...ANSWERED, estimated: true },
    { ...ANSWERED, status: "pending" },
    { ...ANSWERED, status: "unknown" },
    { ...ANSWERED, status: "failed", errorCode: "upstream_timeout" },
    { ...ANSWERED, status: "cancelled" },
  ];
  expect(ends.map(reasonOf)).toEqual([
    "answered",
    "answered; the upstream reported no usage, so the charge is an estimate",
    "the request is under way",
    "its gateway was lost before it reported the end, so the reservation is charged in full",
    "failed (upstream_timeout)",
    "cancelled before the answer was complete",
  ]);
});

test("advises to wait only if waiting helps, and to ask for less only if the size matters", () => {
  expect(adviceOf({ ...DENIED, retryAt: "10:00" })).toEqual([
    "Try again from 10:00",
    "Ask for less: a lower max_tokens, a shorter prompt or a cheaper model",
    "Have the budget raised",
  ]);
  expect(adviceOf({ ...DENIED, deniedRule: "rate_limit.max_concurrent" })).toEqual(["Have the rate limit raised"]);
  expect(adviceOf({ ...DENIED, deniedRule: "guardrail.model_deny" })).toEqual([
    "Send a request that the guardrail allows, or have it changed",
  ]);
});

test("refers an error code to its documentation, and gives no advice for an answer", () => {
  expect(adviceOf({ ...ANSWERED, status: "failed", errorCode: "upstream_timeout" })).toEqual([
    "Look upstream_timeout up in docs/errors.md, which says what it means and what to do",
  ]);
  expect(adviceOf({ ...ANSWERED, status: "failed" })).toEqual([]);
  expect(adviceOf(ANSWERED)).toEqual([]);
});

test("returns a unit only for rules with limits", () => {
  expect(["budget", "rate_limit.max_tokens", "guardrail.model_deny", "constructor"].map(limitUnitOf)).toEqual([
    "micro_usd",
    "tokens",
    undefined,
    undefined,
  ]);
});
