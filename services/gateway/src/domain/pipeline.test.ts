import { MAX_STEPS } from "@routeplane/guardrails";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type FakeAdmissions, fakeBudget, fakeAdmissions } from "../../test/fake-admissions.ts";
import { fakeTokenCounter } from "../../test/fake-token-counter.ts";
import { callerWith } from "../../test/fake-verifier.ts";
import { fakeGuardrailDirectory } from "../../test/fake-guardrail-directory.ts";
import { fakeUsageLog } from "../../test/fake-usage-log.ts";
import { answeringUpstream } from "../../test/fake-upstream.ts";
import { BODY, MICRO, reservationOf, pipelineUnderTest } from "../../test/pipeline-under-test.ts";
import { unavailable } from "../../test/unavailable.ts";
import { fakeVerification } from "../../test/fake-verifier.ts";
import { fakeReply } from "../../test/fake-reply.ts";
import { JudgingMeter } from "./guardrails/judging-meter.ts";
import type { CallingKey } from "./ports/key-verifier.ts";
import type { Upstream } from "./ports/upstream.ts";
import { boundTokens } from "./request/token-bounds.ts";
import { boundTexts } from "./tokens/text-bound.ts";

describe("a request that is served", () => {
  it("is charged what the upstream counted, and its reservation is settled", async () => {
    const { serve, budget, usage } = pipelineUnderTest();
    const { reply } = await serve(BODY);
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ message: { content: "one two three" } }] });
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 9n * MICRO });
    expect(usage.admissions).toHaveLength(1);
    expect(usage.settlements).toMatchObject([
      { outcome: "succeeded", promptTokens: 3, completionTokens: 3, costNanoUsd: 9n * MICRO, estimated: false },
    ]);
    expect(usage.settlements[0]?.facts).toEqual(usage.admissions[0]?.facts);
    expect(usage.admissions).toMatchObject([{ reservedNanoUsd: reservationOf(BODY) }]);
    expect(usage.pending.size).toBe(0);
  });

  it("gets no more output than is affordable", async () => {
    const body = { ...BODY, max_tokens: 1_000_000 };
    const { serve, sent } = pipelineUnderTest({ budget: fakeBudget(reservationOf(BODY) - 2n * MICRO) });
    const { reply } = await serve(body);
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ max_tokens: 2 });
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ finish_reason: "length" }] });
  });

  it.each([
    ["under a budget", fakeBudget(1_000_000_000n)],
    ["under a rate limit alone", fakeAdmissions({ rateLimit: { windowSecs: 60, maxRequests: 9n } })],
    ["under no limit", fakeAdmissions({})],
  ])("%s has the most that it can cost as its reservation, from its admission to its settlement", async (_, budget) => {
    const { serve, usage } = pipelineUnderTest({ budget });
    await serve(BODY);
    expect(usage.admissions).toMatchObject([{ reservedNanoUsd: reservationOf(BODY) }]);
    expect(usage.admissions[0]?.expiresAt.getTime()).toBeGreaterThan(Date.now() + 10 * 60_000);
    expect(usage.settlements).toMatchObject([{ reservedNanoUsd: reservationOf(BODY), costNanoUsd: 9n * MICRO }]);
  });

  it("is recorded with the price that it is charged by, from its admission on", async () => {
    const { serve, usage } = pipelineUnderTest();
    await serve(BODY);
    const price = { version: "file:1", inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n };
    const [admission] = usage.admissions;
    expect(admission).toMatchObject({ price });
    expect(usage.settlements).toMatchObject([{ price, admittedAt: admission?.admittedAt, firstTokenMs: undefined }]);
  });

  it("gets no byte before its admission is committed", async () => {
    const durable = Promise.withResolvers<void>();
    const { serve } = pipelineUnderTest({ usage: fakeUsageLog(() => durable.promise) });
    const reply = fakeReply();
    const served = serve(BODY, reply);
    await delay(50);
    expect(reply.begun).toBe(false);
    durable.resolve();
    await served;
    expect(reply.status).toBe(200);
  });
});

describe("a request that is not served", () => {
  it("is refused with 402 that names the policy, reaches no upstream and costs nothing", async () => {
    const { serve, sent, usage, budget } = pipelineUnderTest({ budget: fakeBudget(10n * MICRO) });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({
      status: 402,
      code: "budget_exceeded",
      details: { policy_id: "pol_1", binding_id: "bnd_1", principal: { type: "namespace" }, rule: "budget" },
    });
    expect(sent).toEqual([]);
    expect(budget.spentNano).toBe(0n);
    expect(usage.admissions).toEqual([]);
    expect(usage.settlements).toMatchObject([
      { outcome: "denied", costNanoUsd: 0n, deniedByPolicyId: "pol_1", price: undefined, admittedAt: undefined },
    ]);
  });

  it.each([
    ["without the scope", callerWith(["keys:*"]), /inference:invoke/],
    ["with an operator credential", { kind: "operator" as const }, /namespace key/],
    ["with a service credential", { kind: "service" as const }, /namespace key/],
  ])("is refused with 403 %s before its body is read", async (_, caller, message) => {
    const { serve, sent } = pipelineUnderTest({ overrides: { subscribeToKey: fakeVerification(async () => caller) } });
    const { refusal } = await serve("not JSON");
    expect(refusal).toMatchObject({ status: 403, message: expect.stringMatching(message) as unknown });
    expect(sent).toEqual([]);
  });

  it("is refused with 429 before anything is reserved or recorded, if its key has used up its judging", async () => {
    const caller = callerWith(["inference:*"]) as CallingKey;
    const meter = new JudgingMeter();
    meter.shareOf(caller).spend(2 * MAX_STEPS);
    const pattern = { name: "w", pattern: "x", action: "block", appliesTo: "request" } as const;
    const guardrails = fakeGuardrailDirectory([{ contentPatterns: [pattern] }]);
    const overrides = { subscribeToKey: fakeVerification(async () => caller), meter };
    const { serve, sent, budget, usage } = pipelineUnderTest({ guardrails, overrides });
    expect((await serve(BODY)).refusal).toMatchObject({ status: 429, code: "judging_limit_exceeded" });
    expect({ sent, admissions: budget.calls.admit, rows: usage.settlements }).toEqual({
      sent: [],
      admissions: 0,
      rows: [],
    });
    const other = pipelineUnderTest({ guardrails, overrides: { meter } });
    expect((await other.serve(BODY)).reply.status).toBe(200);
  });

  it.each(["auth", "policy"])("reaches no upstream while %s is down", async (dependency) => {
    const fail = async (): Promise<never> => {
      throw unavailable(dependency);
    };
    const budget = fakeBudget(1_000_000n);
    const overrides = dependency === "auth" ? { subscribeToKey: fail } : { admissions: { ...budget, admit: fail } };
    const { serve, sent } = pipelineUnderTest({ overrides, budget });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({ code: "unavailable", metadata: { dependency } });
    expect(sent).toEqual([]);
    // The policy service may have made the reservation before it failed, so a release is sent.
    expect(budget.calls.release).toBe(dependency === "policy" ? 1 : 0);
  });
});

describe("a request that cannot be recorded", () => {
  it("is refused before its admission is requested, if the spool takes nothing new", async () => {
    const enqueueRelease = (): never => {
      throw unavailable("spool");
    };
    const { serve, sent, budget, usage } = pipelineUnderTest({
      overrides: { usageLog: { ...fakeUsageLog(), enqueueRelease } },
    });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({ code: "unavailable", metadata: { dependency: "spool" } });
    expect(sent).toEqual([]);
    expect(budget.calls.admit).toBe(0);
    expect(usage.settlements).toEqual([]);
  });

  it("reaches no upstream and costs nothing, if its admission cannot be written", async () => {
    const usage = fakeUsageLog();
    const recordAdmission = (): never => {
      throw unavailable("spool");
    };
    const { serve, sent, budget } = pipelineUnderTest({
      usage,
      overrides: { usageLog: { ...usage, recordAdmission } },
    });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({ status: 503, details: { dependency: "spool" } });
    expect(sent).toEqual([]);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
    expect(usage.settlements).toMatchObject([{ outcome: "failed", costNanoUsd: 0n }]);
    expect(usage.pending.size).toBe(0);
  });

  it("has enqueued a release before its admission is requested, and recorded its admission before it reaches the upstream", async () => {
    const usage = fakeUsageLog();
    const order: string[] = [];
    const budget = fakeBudget(1_000_000_000n);
    const admit: typeof budget.admit = (request) => {
      order.push(`admit, pending ${usage.pending.size}`);
      return budget.admit(request);
    };
    const send = async (): Promise<never> => {
      order.push(`upstream, pending ${usage.pending.size}, recorded ${usage.admissions.length}`);
      throw new Error("seen enough");
    };
    const upstream: Upstream = { boundTokens, send, async close() {} };
    const { serve } = pipelineUnderTest({ usage, budget, upstream, overrides: { admissions: { ...budget, admit } } });
    await serve(BODY);
    expect(order).toEqual(["admit, pending 1", "upstream, pending 0, recorded 1"]);
  });
});

describe("under concurrency", () => {
  it("requests together never spend more than the budget", async () => {
    const limit = reservationOf(BODY) * 5n;
    const { serve, budget } = pipelineUnderTest({ budget: fakeBudget(limit) });
    const results = await Promise.all(Array.from({ length: 20 }, () => serve(BODY)));
    const denied = results.filter(({ refusal }) => refusal?.status === 402).length;
    expect(denied).toBe(15);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 5n * 9n * MICRO });
  });
});

describe("a loose bound", () => {
  const content = "The gateway judges what a key may ask for. ".repeat(40);
  const body = { ...BODY, max_tokens: 50, messages: [{ role: "user", content }] };
  /** Tokens of the text as it is counted, with template and output. */
  const tight = 138 + 300 + 50;
  const serveUnder = async (budget: FakeAdmissions) => {
    const tokenCounter = fakeTokenCounter(() => 300);
    const { serve, sent, usage } = pipelineUnderTest({ budget, overrides: { tokenCounter } });
    const { refusal } = await serve(body);
    return { refusal, sent, usage, tokenCounter, admits: budget.calls.admit };
  };
  const tokens = (maxTokens: number, shadow?: boolean) =>
    fakeAdmissions({ rateLimit: { windowSecs: 60, maxTokens: BigInt(maxTokens) } }, shadow);

  it("refuses nothing, and lowers nothing: tokens are counted first", async () => {
    expect(boundTexts([content])).toBeGreaterThan(500);
    const { refusal, sent, usage, admits } = await serveUnder(tokens(tight));
    expect(refusal).toBeUndefined();
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ max_tokens: 50 });
    expect(admits).toBe(2);
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded" }]);
  });

  it("is kept, and no token counted, where it fits as it is", async () => {
    const { refusal, admits, tokenCounter } = await serveUnder(tokens(10_000));
    expect([refusal, admits, tokenCounter.calls]).toEqual([undefined, 1, 0]);
  });

  it("that does not fit after the count lowers the output", async () => {
    const { sent } = await serveUnder(tokens(tight - 20));
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ max_tokens: 30 });
  });

  it("is denied and recorded once, by what is left after the count", async () => {
    const { refusal, usage, admits } = await serveUnder(tokens(tight - 50));
    expect(refusal).toMatchObject({ status: 429, details: { rule: "rate_limit.max_tokens" } });
    expect(admits).toBe(2);
    expect(usage.settlements).toMatchObject([{ outcome: "denied", deniedRule: "rate_limit.max_tokens" }]);
  });

  it("of no importance to a limit on requests is not counted, and its denial is final", async () => {
    const budget = fakeAdmissions({ rateLimit: { windowSecs: 60, maxConcurrent: 0n } });
    const { refusal, admits, tokenCounter } = await serveUnder(budget);
    expect(refusal).toMatchObject({ details: { rule: "rate_limit.max_concurrent" } });
    expect([admits, tokenCounter.calls]).toEqual([1, 0]);
  });

  it("makes no shadow denial that the count does not make too", async () => {
    const fitting = await serveUnder(tokens(tight, true));
    expect(fitting.usage.settlements).toMatchObject([{ outcome: "succeeded", shadowDenials: [] }]);
    const exceeding = await serveUnder(tokens(tight - 50, true));
    const shadowDenial = { policyId: "pol_1", bindingId: "bnd_1", rule: "rate_limit.max_tokens" };
    expect(exceeding.usage.settlements).toMatchObject([{ outcome: "succeeded", shadowDenials: [shadowDenial] }]);
  });
});

describe("a rate limit", () => {
  const limited = (maxima: object) => fakeAdmissions({ rateLimit: { windowSecs: 60, ...maxima } });

  it("refuses with 429 that names the rule and the time to retry, and without a charge", async () => {
    const { serve, sent, usage } = pipelineUnderTest({ budget: limited({ maxRequests: 1n }) });
    const first = await serve(BODY);
    expect(first.reply.headers).toMatchObject({
      "x-ratelimit-limit-requests": "1",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": expect.stringMatching(/^(1m0|60|1m|59)/) as unknown,
    });
    const { refusal, reply } = await serve(BODY);
    expect(refusal).toMatchObject({
      status: 429,
      type: "requests",
      code: "rate_limit_exceeded",
      details: { policy_id: "pol_1", rule: "rate_limit.max_requests", principal: { type: "namespace" } },
    });
    expect(Number(refusal?.retryAfter)).toBeGreaterThan(58);
    expect(Number(refusal?.retryAfter)).toBeLessThanOrEqual(61);
    expect(reply.headers).toMatchObject({ "x-ratelimit-remaining-requests": "0" });
    expect(sent).toHaveLength(1);
    expect(usage.settlements.at(-1)).toMatchObject({
      outcome: "denied",
      costNanoUsd: 0n,
      deniedByPolicyId: "pol_1",
      deniedByBindingId: "bnd_1",
      deniedRule: "rate_limit.max_requests",
      deniedAmounts: { limit: 1n, remaining: 0n, needed: 1n, retryAt: refusal?.denial?.retryAt },
    });
  });

  it.each([
    [50, true],
    [3_600, false],
  ])(
    "that frees in %i s lets the SDKs, which wait less than a minute, try again: %s",
    async (windowSecs, retryable) => {
      const { serve } = pipelineUnderTest({ budget: fakeAdmissions({ rateLimit: { windowSecs, maxRequests: 1n } }) });
      await serve(BODY);
      expect((await serve(BODY)).refusal).toMatchObject({ status: 429, retryable });
    },
  );

  it("counts the tokens that were used, not those that were bounded, once they are known", async () => {
    const { serve } = pipelineUnderTest({ budget: limited({ maxTokens: 500n }) });
    for (const left of ["494", "488", "482"]) {
      await serve(BODY);
      const { reply } = await serve({ ...BODY, max_tokens: 100_000 });
      expect(Number(reply.headers["x-ratelimit-remaining-tokens"])).toBeLessThanOrEqual(Number(left));
    }
  });

  it("that a request can never fit under has no retry time: no waiting helps", async () => {
    const { serve } = pipelineUnderTest({ budget: limited({ maxTokens: 20n }) });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({ status: 429, type: "tokens", retryable: false, retryAfter: undefined });
    expect(refusal?.details).not.toHaveProperty("retry_at");
  });

  it("has its slots back after an answer, a failure and a request that was never sent", async () => {
    const budget = limited({ maxConcurrent: 1n });
    const upstream = answeringUpstream("application/json", ["{}"], { status: 500 });
    for (const each of [pipelineUnderTest({ budget }), pipelineUnderTest({ budget, upstream })]) {
      for (const _ of [1, 2]) expect((await each.serve(BODY)).refusal?.status).not.toBe(429);
    }
    const gone = fakeReply();
    gone.cancel("client_gone");
    await pipelineUnderTest({ budget }).serve(BODY, gone);
    expect((await pipelineUnderTest({ budget }).serve(BODY)).refusal).toBeUndefined();
    expect(budget.closed).toContainEqual({ neverSent: true });
    expect(budget.closed).toContainEqual({ neverSent: false });
  });

  it("in shadow mode refuses nothing, and records its shadow denials", async () => {
    const budget = fakeAdmissions({ rateLimit: { windowSecs: 60, maxRequests: 1n } }, true);
    const { serve, usage } = pipelineUnderTest({ budget });
    for (const _ of [1, 2]) expect((await serve(BODY)).refusal).toBeUndefined();
    const denial = { policyId: "pol_1", bindingId: "bnd_1", rule: "rate_limit.max_requests" };
    expect(usage.settlements.map(({ shadowDenials }) => shadowDenials)).toEqual([[], [denial]]);
  });
});
