import { newId } from "@routeplane/domain";
import type { PolicySpec } from "@routeplane/policy-spec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PastRequest, simulate } from "./simulation.ts";

const [callerKeyId, otherKeyId] = [newId("key"), newId("key")];
const MICRO = 1_000n;
const HOUR_MS = 3_600_000;
const NEVER = new AbortController().signal;

/** A request of 100 micro-USD and 10 tokens that took a second, with the fields of `change`. */
function request(startedMs: number, change: Partial<PastRequest> = {}): PastRequest {
  const used = { tokens: 10n, costNano: 100n * MICRO, startedMs, endedMs: startedMs + 1_000 };
  return { keyId: callerKeyId, provider: "openai", model: "gpt-4o-mini", streamed: false, ...used, ...change };
}

const budget = (limitMicroUsd: bigint): PolicySpec => ({ kind: "budget", window: "hour", limitMicroUsd });
const rate = (maxima: object): PolicySpec => ({ kind: "rate_limit", windowSecs: 60, ...maxima });
const refusedBy = async (spec: PolicySpec, requests: readonly PastRequest[]) => {
  const { denied, byRule } = await simulate(spec, requests, NEVER);
  return [denied, Object.fromEntries(byRule)];
};

describe("a simulated budget", () => {
  it("denies requests that do not fit any more, until spent amounts have left the window", async () => {
    const times = [0, 10_000, 20_000, 30_000, HOUR_MS + 120_000];
    const requests = times.map((ms) => request(ms, { keyId: ms === 30_000 ? otherKeyId : callerKeyId }));
    const simulation = await simulate(budget(250n), requests, NEVER);
    expect(simulation).toMatchObject({
      requests: 5,
      denied: 2,
      spendNano: 500n * MICRO,
      deniedSpendNano: 200n * MICRO,
      notSimulated: [],
    });
    expect(Object.fromEntries(simulation.byRule)).toEqual({ budget: 2 });
    const one = { denied: 1, deniedSpendNano: 100n * MICRO };
    expect(Object.fromEntries(simulation.byKey)).toEqual({
      [callerKeyId]: { requests: 4, spendNano: 400n * MICRO, ...one },
      [otherKeyId]: { requests: 1, spendNano: 100n * MICRO, ...one },
    });
  });

  it("reserves the usage of requests while they run", async () => {
    const long = [request(0, { endedMs: 60_000 }), request(1_000, { endedMs: undefined }), request(2_000)];
    expect(await refusedBy(budget(200n), long)).toEqual([1, { budget: 1 }]);
  });

  it("never admits more spend than its limit, and denies only requests that do not fit", async () => {
    const past = fc.record({
      startedMs: fc.nat(2 * HOUR_MS),
      tookMs: fc.nat(HOUR_MS),
      costNano: fc.bigInt({ min: 0n, max: 300n }).map((micro) => micro * MICRO),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(past, { maxLength: 40 }), async (all) => {
        const requests = all.map(({ startedMs, tookMs, costNano }) =>
          request(startedMs, { costNano, endedMs: startedMs + tookMs }),
        );
        const spec: PolicySpec = { kind: "budget", window: "total", limitMicroUsd: 1_000n };
        const { denied, spendNano, deniedSpendNano } = await simulate(spec, requests, NEVER);
        expect(spendNano - deniedSpendNano).toBeLessThanOrEqual(1_000n * MICRO);
        if (spendNano <= 1_000n * MICRO) expect(denied).toBe(0);
      }),
    );
  });
});

describe("a simulated rate limit", () => {
  it("counts requests and tokens within its window", async () => {
    const burst = [0, 1, 2, 3].map((ms) => request(ms));
    expect(await refusedBy(rate({ maxRequests: 3n }), [...burst, request(90_000)])).toEqual([
      1,
      { "rate_limit.max_requests": 1 },
    ]);
    expect(await refusedBy(rate({ maxTokens: 25n }), burst)).toEqual([2, { "rate_limit.max_tokens": 2 }]);
  });

  it("counts concurrent requests from their start to their end, whatever their order in the log", async () => {
    const one = request(0, { endedMs: 10_000 });
    const requests = [request(9_999), one, request(10_000), request(20_000)];
    expect(await refusedBy(rate({ maxConcurrent: 1n }), requests)).toEqual([1, { "rate_limit.max_concurrent": 1 }]);
    const backwards = request(0, { endedMs: -5_000 });
    expect(await refusedBy(rate({ maxConcurrent: 1n }), [backwards, request(10)])).toEqual([0, {}]);
  });
});

describe("a simulated guardrail", () => {
  it("denies by model, streaming and size, and names the rules on texts as not simulated", async () => {
    const pattern = { name: "card", pattern: "[0-9]{16}", action: "block", appliesTo: "both" } as const;
    const spec: PolicySpec = {
      kind: "guardrail",
      modelDeny: ["anthropic/*"],
      allowStreaming: false,
      maxRequestTokens: 10,
      contentPatterns: [pattern],
    };
    const claude = { provider: "anthropic", model: "claude", streamed: true };
    const requests = [request(0), request(1, claude), request(2, { streamed: true }), request(3, { tokens: 11n })];
    const { denied, byRule, notSimulated } = await simulate(spec, requests, NEVER);
    expect(denied).toBe(3);
    expect(Object.fromEntries(byRule)).toEqual({
      "guardrail.model_deny": 1,
      "guardrail.allow_streaming": 1,
      "guardrail.max_request_tokens": 1,
    });
    expect(notSimulated).toEqual(["guardrail.content_patterns"]);
  });

  it("judges the same model of another provider, and each request by its own size, on its own", async () => {
    const spec: PolicySpec = { kind: "guardrail", modelDeny: ["azure/gpt-4o-mini"], maxRequestTokens: 10 };
    const azure = { provider: "azure" };
    const large = { tokens: 11n };
    const requests = [{}, azure, {}, large, azure, {}].map((change, ms) => request(ms, change));
    expect(await refusedBy(spec, requests)).toEqual([
      3,
      { "guardrail.model_deny": 2, "guardrail.max_request_tokens": 1 },
    ]);
  });

  it("in a preset comes first: requests that it denies use up none of the preset's limits", async () => {
    const spec: PolicySpec = {
      kind: "preset",
      guardrail: { modelAllow: ["gpt-*"] },
      budget: { window: "hour", limitMicroUsd: 100n },
    };
    const requests = [request(0, { model: "o1" }), request(1), request(2)];
    expect(await refusedBy(spec, requests)).toEqual([2, { "guardrail.model_allow": 1, budget: 1 }]);
  });
});

it("stops replaying once the signal is aborted", async () => {
  const caller = new AbortController();
  const requests = Array.from({ length: 100_000 }, (_, ms) => request(ms));
  const simulating = simulate(budget(250n), requests, caller.signal);
  caller.abort(new Error("gone"));
  await expect(simulating).rejects.toThrow("gone");
});
