import { describe, expect, it } from "vitest";
import { refusalOfUpstreamStatus, refusalOfUpstreamWords } from "./upstream-refusal.ts";
import { readErrorJson } from "./upstream-words.ts";

const SHORT = 7;
const LONG = 3_600;

function refusal(status: number, error: object = {}, retryAfter?: string) {
  return refusalOfUpstreamStatus({ status, retryAfter }, Buffer.from(JSON.stringify({ error }))).refusal;
}

describe("an upstream's status", () => {
  it.each([400, 404, 410, 413, 415, 422, 451])("%i about the request is passed on in its words", (status) => {
    const error = { message: "m", type: "t", param: "p", code: 7 };
    expect(refusal(status, error)).toMatchObject({
      status,
      message: "m",
      type: "t",
      param: "p",
      code: "7",
      retryable: false,
    });
  });

  it.each([400, 429])("%i keeps the details of an error, bounded and without what concerns the operator", (status) => {
    const texts = { error_visibility: "user_facing", key: "sk-secret-123456", long: "x".repeat(300), n: 7, "a b": "c" };
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`n${index}`, "t"]));
    const { details } = refusal(status, { message: "m", details: { ...texts, ...many } });
    const kept = details["details"] as Readonly<Record<string, string>>;
    expect(kept).toMatchObject({ error_visibility: "user_facing", key: "[redacted]", long: "x".repeat(200), n0: "t" });
    expect(kept).not.toHaveProperty("n");
    expect(Object.keys(kept)).toHaveLength(10);
    expect(refusal(status, { message: "m", details: null }).details).toEqual({});
  });

  it.each([401, 403])("%i concerns the operator, and none of its words is passed on", (status) => {
    const { message, ...rest } = refusal(status, { message: "wrong key", code: "c" });
    expect(rest).toMatchObject({ status: 502, code: "upstream_error", retryable: false });
    expect(message).not.toContain("wrong");
  });

  it.each<[number, object]>([
    [429, { message: "m", type: "insufficient_quota", code: "insufficient_quota" }],
    [429, { message: "You exceeded your current quota, please check your plan and billing details." }],
    [
      429,
      { code: 429, status: "RESOURCE_EXHAUSTED", message: "You exceeded your current quota, please check your plan" },
    ],
    [400, { type: "invalid_request_error", message: "Your credit balance is too low to access the Anthropic API." }],
    [400, { code: "billing_hard_limit_reached", message: "m" }],
    [401, { code: "account_deactivated", message: "m" }],
    [402, { message: "Insufficient Balance", code: "invalid_request_error" }],
    [403, { message: "Your team has used all available credits or reached its monthly spending limit" }],
    [429, { type: "exceeded_current_quota_error", message: "m" }],
    [503, { code: "InsufficientQuota" }],
  ])("%i with %j is the operator's account: its own code, and no retry", (status, error) => {
    const { message, ...rest } = refusal(status, error, "1");
    expect(rest).toMatchObject({
      status: 502,
      code: "upstream_quota_exhausted",
      retryable: false,
      retryAfter: undefined,
    });
    expect(message).toContain("operator");
  });

  it("of a quota by the minute is a rate limit, and by the day the operator's account", () => {
    const ofQuota = (quotaId: string) => ({
      code: 429,
      message: "You exceeded your current quota, please check your plan and billing details.",
      status: "RESOURCE_EXHAUSTED",
      details: [{ violations: [{ quotaId }] }, { retryDelay: "7s" }],
    });
    expect(refusal(429, ofQuota("GenerateRequestsPerMinutePerProject"))).toMatchObject({
      status: 429,
      retryAfter: "7",
    });
    expect(refusal(429, ofQuota("GenerateRequestsPerDayPerProject"))).toMatchObject({
      code: "upstream_quota_exhausted",
    });
  });

  it("400 that quotes a client about quotas is about the request", () => {
    expect(refusal(400, { message: "bad value: 'insufficient balance, billing limit'" })).toMatchObject({
      status: 400,
    });
  });

  it("400 about the gateway's key concerns the operator", () => {
    const error = {
      code: 400,
      message: "API key not valid",
      status: "INVALID_ARGUMENT",
      details: [{ reason: "API_KEY_INVALID" }],
    };
    expect(refusal(400, error)).toMatchObject({ status: 502, code: "upstream_error", retryable: false });
  });

  it("403 about the content is passed on", () => {
    const error = { message: "flagged", code: 403, metadata: { reasons: ["violence"], flagged_input: "x" } };
    expect(refusal(403, error)).toMatchObject({ status: 403, message: "flagged: violence" });
  });

  it.each([
    [429, 429],
    [503, 503],
    [529, 503],
  ])(
    "%i is passed on as %i with the wait, in every form; a long one keeps the SDKs from trying again",
    (status, own) => {
      const at = (secs: number) => new Date(Date.now() + secs * 1_000).toUTCString();
      expect(refusal(status)).toMatchObject({ status: own, retryAfter: undefined, retryable: true });
      for (const wait of [String(SHORT), "0.5", at(SHORT)]) {
        expect(refusal(status, {}, wait)).toMatchObject({ status: own, retryAfter: wait, retryable: true });
      }
      for (const wait of [String(LONG), "60", at(LONG)]) {
        expect(refusal(status, {}, wait)).toMatchObject({ status: own, retryAfter: wait, retryable: false });
      }
      for (const wait of ["soon", "-1", "1, 2", ""]) {
        expect(refusal(status, {}, wait)).toMatchObject({ status: own, retryAfter: undefined, retryable: true });
      }
      expect(refusal(status, { message: "try again in 1m2.5s" })).toMatchObject({ retryAfter: "63", retryable: false });
      expect(refusal(status, { message: "Please try again in 250ms." })).toMatchObject({
        retryAfter: "1",
        retryable: true,
      });
    },
  );

  it("503 and 529 have a code of the gateway", () => {
    expect(refusal(529, { type: "overloaded_error", message: "Overloaded" })).toMatchObject({
      code: "upstream_overloaded",
    });
  });

  it.each([
    [500, 502, true],
    [502, 502, true],
    [520, 502, true],
    [409, 502, true],
    [425, 502, true],
    [499, 502, true],
    [405, 502, false],
    [418, 502, false],
    [431, 502, false],
    [501, 502, false],
    [302, 502, false],
    [408, 504, true],
    [504, 504, true],
    [524, 504, true],
  ])("%i is %i, worth another try: %s", (status, own, retryable) => {
    expect(refusal(status, { message: "m" })).toMatchObject({ status: own, retryable });
  });
});

describe("an error with a status of success", () => {
  it("keeps its details", () => {
    const error = { type: "overloaded_error", message: "m", details: { error_visibility: "user_facing" } };
    const { details } = refusalOfUpstreamWords(readErrorJson({ type: "error", error }));
    expect(details).toEqual({ details: { error_visibility: "user_facing" } });
  });

  it.each<[unknown, object]>([
    [{ error: { code: 429, message: "m" } }, { status: 429, code: "429", message: "m", retryable: true }],
    [
      [{ error: { code: 400, message: "m", status: "INVALID_ARGUMENT" } }],
      { status: 400, message: "m", retryable: false },
    ],
    [{ error: { status: "RESOURCE_EXHAUSTED", message: "m" } }, { status: 429, message: "m" }],
    [{ error: { type: "rate_limit_exceeded", message: "m" } }, { status: 429, message: "m" }],
    [
      { error: { code: "context_length_exceeded", message: "m" } },
      { status: 400, code: "context_length_exceeded", retryable: false },
    ],
    [{ error: { type: "BadRequestError", message: "m" } }, { status: 400 }],
    [{ error: { code: "insufficient_quota", message: "m" } }, { status: 502, code: "upstream_quota_exhausted" }],
    [{ error: { code: 401, message: "wrong key" } }, { status: 502, code: "upstream_error", retryable: false }],
    [{ error: { code: 503, message: "m" } }, { status: 503, message: "m", retryable: true }],
    [{ error: { type: "overloaded_error", message: "m" } }, { status: 503, message: "m", retryable: true }],
    [{ error: { code: 500, message: "m" } }, { status: 502, message: "m", code: "500", retryable: true }],
    [{ error: { type: "timeout", message: "m" } }, { status: 504, message: "m" }],
    [
      { error: "it did not work" },
      { status: 502, message: "it did not work", code: "upstream_error", retryable: false },
    ],
    [{ error: { code: 17 } }, { status: 502, code: "17", retryable: false }],
    [
      { error: { code: 429, message: "m", retryDelay: "3600s" } },
      { status: 429, retryAfter: "3600", retryable: false },
    ],
  ])("%j has the status that its own words stand for", (json, expected) => {
    expect(refusalOfUpstreamWords(readErrorJson(json))).toMatchObject(expected);
  });
});
