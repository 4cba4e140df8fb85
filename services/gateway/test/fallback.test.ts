import { describe, expect, it } from "vitest";
import { fakeBudget } from "./fake-admissions.ts";
import { failing, fallbackUnderTest, modelAt, USAGE, working } from "./fallback-under-test.ts";
import { type Answer, sendJson } from "./fake-provider.ts";
import { fakeReply } from "./fake-reply.ts";
import { BODY, MICRO, reservationOf } from "./pipeline-under-test.ts";

const REQUEST = { ...BODY, model: "m" };
/** Charge of `USAGE` at the prices of `modelAt`. */
const CHARGE = 7n * MICRO;
const WITH_FALLBACK = [modelAt("one", "m", { fallback: ["two/n"] }), modelAt("two", "n", {}, 3n)];

/** Streams that begin with this text, as their provider sends them. */
const streaming =
  (end: "whole" | "broken"): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"choices":[{"index":0,"delta":{"content":"begun"}}]}\n\n');
    if (end === "broken") setTimeout(() => response.destroy(), 20);
    else
      response.end(
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage: USAGE })}\n\ndata: [DONE]\n\n`,
      );
  };

describe("a request whose model fails", () => {
  it.each<[string, Answer | "down", number | undefined, string]>([
    ["refuses connections", "down", undefined, "upstream_unreachable"],
    ["answers 500", failing(500), 500, "upstream_error"],
    ["answers 503", failing(503), 503, "upstream_overloaded"],
    ["answers 529", failing(529), 529, "upstream_overloaded"],
    ["answers 429", failing(429), 429, "rate_limit_exceeded"],
  ])(
    "goes to its fallback if the upstream %s, is charged at its price, and has one row",
    async (_, one, status, errorCode) => {
      await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one, two: working });
      const { reply } = await gateway.serve(REQUEST);
      expect(reply.status).toBe(200);
      expect(reply.text).toContain("hello");
      const { settlements, admissions } = gateway.usage;
      expect(admissions).toMatchObject([{ facts: { provider: "one", model: "m" } }]);
      expect(settlements).toMatchObject([
        {
          facts: { provider: "two", model: "n" },
          outcome: "succeeded",
          costNanoUsd: 3n * CHARGE,
          billedModel: undefined,
          price: { version: "file:two" },
          attempts: [
            { provider: "one", model: "m", status, errorCode },
            { provider: "two", model: "n", status: 200, errorCode: "" },
          ],
        },
      ]);
      expect(gateway.budget.spentNano).toBe(3n * CHARGE);
      expect(gateway.budget.reservedNano).toBe(0n);
      expect(gateway.budget.closed).toHaveLength(1);
      const [sent] = gateway.providers.get("two")?.requests ?? [];
      expect(JSON.parse(sent?.body ?? "")).toMatchObject({ model: "n", max_tokens: 3, messages: REQUEST.messages });
    },
  );

  it.each([400, 401, 403, 404, 413, 422, 504])("does not go to its fallback after status %i", async (status) => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(status), two: working });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toBeDefined();
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
    expect(gateway.usage.settlements).toMatchObject([
      { facts: { provider: "one" }, upstreamStatus: status, attempts: [] },
    ]);
  });

  it("does not go to its fallback after a time-out: the upstream may have worked, and is charged", async () => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: () => {}, two: working }, { headMs: 100 });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ code: "upstream_timeout" });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
    const [settlement] = gateway.usage.settlements;
    expect(settlement).toMatchObject({ facts: { provider: "one" }, estimated: true });
    expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
  });

  it("does not go to its fallback once a piece of a stream has come", async () => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: streaming("broken"), two: streaming("whole") });
    const { reply } = await gateway.serve({ ...REQUEST, stream: true });
    expect(reply.text).toContain("begun");
    expect(reply.text).toContain("upstream_error");
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "one" }, outcome: "failed" }]);
  });

  it("streams from its fallback", async () => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(503), two: streaming("whole") });
    const { reply } = await gateway.serve({ ...REQUEST, stream: true });
    expect(reply.text).toContain("[DONE]");
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "two" }, costNanoUsd: 3n * CHARGE }]);
  });

  it("gets the error of the last attempt, free of charge, if all fail", async () => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: failing(429) });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ status: 429 });
    expect(gateway.usage.settlements).toMatchObject([
      {
        facts: { provider: "two" },
        costNanoUsd: 0n,
        attempts: [{ provider: "one" }, { provider: "two", status: 429 }],
      },
    ]);
    expect(gateway.budget).toMatchObject({ spentNano: 0n, reservedNano: 0n, closed: { length: 1 } });
  });

  it("is called again after the wait that the upstream requests, as often as the model's settings allow", async () => {
    let calls = 0;
    const one: Answer = (...args) => (++calls < 3 ? failing(429, { "retry-after": "0" }) : working)(...args);
    await using gateway = await fallbackUnderTest([modelAt("one", "m", { retries: 2 })], { one });
    const { reply } = await gateway.serve(REQUEST);
    expect(reply.status).toBe(200);
    expect(gateway.usage.settlements).toMatchObject([{ costNanoUsd: CHARGE, attempts: { length: 3 } }]);
  });

  it("is not called again without retries", async () => {
    await using gateway = await fallbackUnderTest([modelAt("one", "m")], { one: failing(500) });
    await gateway.serve(REQUEST);
    expect(gateway.calls()).toEqual({ one: 1 });
  });

  it("goes to another deployment of the same model", async () => {
    const deployments = [
      { provider: "one", id: "m", weight: 1_000 },
      { provider: "two", id: "n", weight: 1 },
    ];
    const models = [modelAt("one", "m", { deployments }), modelAt("two", "n")];
    await using gateway = await fallbackUnderTest(models, { one: failing(500), two: working });
    const { reply } = await gateway.serve(REQUEST);
    expect(reply.status).toBe(200);
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "two" }, outcome: "succeeded" }]);
  });

  it("ends with the client: a running call, or a wait between two attempts, is cancelled", async () => {
    const waiting = [modelAt("one", "m", { retries: 1 })];
    const reply = fakeReply();
    const one: Answer = (...args) => {
      setTimeout(() => reply.cancel("client_gone"), 30);
      return failing(429, { "retry-after": "1" })(...args);
    };
    await using gateway = await fallbackUnderTest(waiting, { one });
    await gateway.serve(REQUEST, reply);
    expect(gateway.calls()).toEqual({ one: 1 });
    expect(gateway.usage.settlements).toMatchObject([{ outcome: "cancelled", costNanoUsd: 0n }]);

    const second = fakeReply();
    const two: Answer = () => void setTimeout(() => second.cancel("client_gone"), 30);
    await using hanging = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two });
    await hanging.serve(REQUEST, second);
    expect(hanging.usage.settlements).toMatchObject([{ facts: { provider: "two" }, outcome: "cancelled" }]);
    await expect.poll(() => hanging.providers.get("two")?.requests[0]?.aborted).toBe(true);
  });
});

describe("upstreams that all fail", () => {
  it("get at most ten calls and a tenth more than there are requests, whatever retries are configured", async () => {
    const models = [modelAt("one", "m", { retries: 5 })];
    await using gateway = await fallbackUnderTest(models, { one: failing(429, { "retry-after": "0" }) });
    for (let request = 0; request < 100; request++) await gateway.serve(REQUEST);
    expect(gateway.calls()["one"]).toBeGreaterThan(100);
    expect(gateway.calls()["one"]).toBeLessThanOrEqual(100 * 1.1 + 10 + 1);
    expect(gateway.usage.settlements).toHaveLength(100);
  });

  it("are skipped once they have failed five times", async () => {
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: working });
    for (let request = 0; request < 10; request++) await gateway.serve(REQUEST);
    expect(gateway.calls()).toEqual({ one: 5, two: 10 });
    expect(gateway.usage.settlements.at(-1)).toMatchObject({ facts: { provider: "two" }, attempts: [] });
  });
});

describe("the reservation of a request with fallbacks", () => {
  const bound = reservationOf(REQUEST);

  it("is that of the most expensive model that may answer", async () => {
    const budget = fakeBudget(3n * bound);
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: working }, { budget });
    const { reply } = await gateway.serve(REQUEST);
    expect(reply.status).toBe(200);
    expect(gateway.usage.admissions).toMatchObject([{ reservedNanoUsd: 3n * bound, price: { version: "file:two" } }]);
  });

  it("leaves out a more expensive fallback rather than refuse, or lower, a request that fits without it", async () => {
    const budget = fakeBudget(3n * bound - 1n);
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: working }, { budget });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ status: 502 });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
    expect(gateway.usage.admissions).toMatchObject([{ reservedNanoUsd: bound, price: { version: "file:one" } }]);
    const [sent] = gateway.providers.get("one")?.requests ?? [];
    expect(JSON.parse(sent?.body ?? "")).toMatchObject({ max_tokens: 3 });
  });

  it("keeps a fallback that costs no more when a more expensive one is left out", async () => {
    const models = [
      modelAt("one", "m", { fallback: ["two/n", "three/o"] }),
      modelAt("two", "n", {}, 9n),
      modelAt("three", "o"),
    ];
    const budget = fakeBudget(2n * bound);
    const answers = { one: failing(500), two: working, three: working };
    await using gateway = await fallbackUnderTest(models, answers, { budget });
    const { reply } = await gateway.serve(REQUEST);
    expect(reply.status).toBe(200);
    expect(gateway.calls()).toEqual({ one: 1, two: 0, three: 1 });
  });

  it("refuses what does not fit at the first model either, as without fallbacks", async () => {
    const budget = fakeBudget(1_000n);
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: working }, { budget });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ status: 402 });
    expect(gateway.calls()).toEqual({ one: 0, two: 0 });
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "one", model: "m" }, outcome: "denied" }]);
  });

  it("is never overspent by many requests at once that fall back to a more expensive model", async () => {
    const limit = 10n * bound;
    const budget = fakeBudget(limit);
    // Nearly as much as is reserved.
    const usage = { prompt_tokens: 138, completion_tokens: 3, total_tokens: 141 };
    const two: Answer = (response) => sendJson(response, 200, { choices: [], usage });
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(503), two }, { budget });
    let most = 0n;
    const watch = setInterval(
      () => (most = [most, budget.spentNano + budget.reservedNano].reduce((a, b) => (a > b ? a : b))),
      1,
    );
    await Promise.all(Array.from({ length: 60 }, () => gateway.serve(REQUEST)));
    clearInterval(watch);
    expect(most).toBeGreaterThan(0n);
    expect(most).toBeLessThanOrEqual(limit);
    const charged = gateway.usage.settlements.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0n);
    expect(charged).toBe(budget.spentNano);
    expect(budget.spentNano).toBeLessThanOrEqual(limit);
    expect(budget.reservedNano).toBe(0n);
    expect(gateway.usage.settlements.some(({ facts }) => facts.provider === "two")).toBe(true);
  });
});

describe("the guardrails of a request with fallbacks", () => {
  it("leave out a fallback that they do not allow", async () => {
    const guardrails = [{ modelDeny: ["two/*"] }];
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: failing(500), two: working }, { guardrails });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ status: 502 });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
  });

  it("refuse a request to a model that they do not allow, whatever its fallbacks", async () => {
    const guardrails = [{ modelDeny: ["one/*"] }];
    await using gateway = await fallbackUnderTest(WITH_FALLBACK, { one: working, two: working }, { guardrails });
    const { refusal } = await gateway.serve(REQUEST);
    expect(refusal).toMatchObject({ status: 403 });
    expect(gateway.calls()).toEqual({ one: 0, two: 0 });
  });

  it("leave out a fallback to which a member is not allowed", async () => {
    const allowed = { allowed: new Set(["metadata"]), surcharges: [] };
    const models = [modelAt("one", "m", { fallback: ["two/n"], memberRules: allowed }), modelAt("two", "n")];
    await using gateway = await fallbackUnderTest(models, { one: failing(500), two: working });
    await gateway.serve({ ...REQUEST, metadata: { route: ["two"] } });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
  });
});

describe("a fallback of another wire", () => {
  const claude = modelAt("two", "claude", { wires: new Set(["messages"] as const) }, 3n);
  const models = [modelAt("one", "m", { fallback: ["two/claude"] }), claude];
  const answering: Answer = (response) =>
    sendJson(response, 200, {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "claude",
      content: [{ type: "text", text: "bonjour" }],
      stop_reason: "end_turn",
      usage: { input_tokens: 3, output_tokens: 2 },
    });

  it("gets the request in its own wire, and answers in that of the client, at its price", async () => {
    await using gateway = await fallbackUnderTest(models, { one: failing(503), two: answering });
    const { reply } = await gateway.serve({ ...REQUEST, logprobs: false });
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ message: { content: "bonjour" } }] });
    const [sent] = gateway.providers.get("two")?.requests ?? [];
    expect(sent?.path).toBe("/v1/messages");
    expect(JSON.parse(sent?.body ?? "")).toMatchObject({ model: "claude", max_tokens: 3 });
    expect(gateway.usage.settlements).toMatchObject([{ facts: { provider: "two" }, costNanoUsd: 3n * CHARGE }]);
  });

  it("is left out if the request cannot be carried over", async () => {
    await using gateway = await fallbackUnderTest(models, { one: failing(503), two: answering });
    const { refusal } = await gateway.serve({ ...REQUEST, n: 2 });
    expect(refusal).toMatchObject({ status: 503 });
    expect(gateway.calls()).toEqual({ one: 1, two: 0 });
  });
});
