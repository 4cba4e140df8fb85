import { describe, expect, it } from "vitest";
import { UpstreamFault, type UpstreamFaultKind } from "../ports/upstream.ts";
import { attemptOutcomeOf } from "./attempt-outcome.ts";

const NOW_MS = Date.parse("2026-11-29T12:00:00Z");

function answered(status: number, retryAfter?: string) {
  return attemptOutcomeOf({ status: "fulfilled", value: { status, retryAfter } }, false, NOW_MS);
}

function failed(reason: unknown, isCancelled = false) {
  return attemptOutcomeOf({ status: "rejected", reason }, isCancelled, NOW_MS);
}

describe("attemptOutcomeOf", () => {
  it("does not take an answer of the gateway itself as evidence about an upstream", () => {
    const value = { status: 200, retryAfter: undefined, isLocal: true };
    const outcome = attemptOutcomeOf({ status: "fulfilled", value }, false, NOW_MS);
    expect(outcome).toMatchObject({ kind: "succeeded", isHealthy: undefined });
    expect(answered(200).isHealthy).toBe(true);
  });

  it.each([
    [429, "rate_limited", "rate_limit_exceeded"],
    [500, "server_error", "upstream_error"],
    [502, "server_error", "upstream_error"],
    [503, "server_error", "upstream_overloaded"],
    [529, "server_error", "upstream_overloaded"],
  ])("tries again after status %i", (status, kind, errorCode) => {
    expect(answered(status)).toMatchObject({ canTryAgain: true, kind, errorCode, status });
  });

  it.each([200, 204, 301, 400, 401, 402, 403, 404, 408, 409, 413, 422, 504, 524])(
    "does not try again after status %i",
    (status) => {
      expect(answered(status).canTryAgain).toBe(false);
    },
  );

  it.each<[UpstreamFaultKind, boolean]>([
    ["unreachable", true],
    ["connect_timeout", true],
    ["timeout", false],
    ["broken", false],
    ["invalid", false],
  ])("after the fault %s tries again only if nothing was sent", (kind, canTryAgain) => {
    expect(failed(new UpstreamFault(kind, "no"))).toMatchObject({ canTryAgain, isHealthy: false });
  });

  it("does not try again after a fault of the gateway, or a cancelled request", () => {
    expect(failed(new TypeError("bug")).canTryAgain).toBe(false);
    const cancelled = failed(new UpstreamFault("unreachable", "no"), true);
    expect(cancelled).toMatchObject({ canTryAgain: false, isHealthy: undefined, kind: "cancelled" });
  });

  it.each([
    [500, { kind: "server_error", canTryAgain: true, isHealthy: false, errorCode: "upstream_error" }],
    [429, { kind: "rate_limited", canTryAgain: true, isHealthy: undefined, errorCode: "rate_limit_exceeded" }],
    [400, { kind: "refused", canTryAgain: false, isHealthy: true }],
  ])("takes an error of the kind %i that an answer begins with for that status, and waits as it says", (status, of) => {
    const failure = { status, retryAfterMs: 2_000 };
    const value = { status: 200, retryAfter: undefined, failure };
    const outcome = attemptOutcomeOf({ status: "fulfilled", value }, false, NOW_MS);
    expect(outcome).toMatchObject({ ...of, status: 200, retryAfterMs: 2_000 });
    const headed = attemptOutcomeOf({ status: "fulfilled", value: { ...value, retryAfter: "1" } }, false, NOW_MS);
    expect(headed.retryAfterMs).toBe(1_000);
  });

  it("reads the wait that an upstream asks for, in seconds or as a date", () => {
    expect(answered(429, "3").retryAfterMs).toBe(3_000);
    expect(answered(503, "Sun, 29 Nov 2026 12:00:05 GMT").retryAfterMs).toBe(5_000);
    expect(answered(429, "soon").retryAfterMs).toBeUndefined();
  });

  it("takes an answer that refuses the request as a sign of health, and a rate limit as no evidence", () => {
    expect([200, 400, 429, 500].map((status) => answered(status).isHealthy)).toEqual([true, true, undefined, false]);
  });
});
