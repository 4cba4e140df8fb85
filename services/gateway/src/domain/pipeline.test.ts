import { setTimeout as delay } from "node:timers/promises";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { type BudgetInMemory, budgetInMemory, callerWith, usageInMemory } from "../../test/in-memory-ports.ts";
import { type RecordingReply, recordingReply } from "../../test/recording-reply.ts";
import { createEchoUpstream } from "../upstreams/echo-upstream.ts";
import { createModelDirectory, type Model } from "./model-directory.ts";
import { createPipeline, type PipelineDependencies } from "./pipeline.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault } from "./ports.ts";
import type { Refusal } from "./refusal.ts";
import { createSettlements } from "./settlements.ts";

const MICRO = 1_000n;
const MODEL: Model = {
  provider: "echo",
  id: "echo",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  outputField: "max_tokens",
};
const BODY = { model: "echo", max_tokens: 3, messages: [{ role: "user", content: "one two three" }] };
/** What BODY reserves: its bytes and the allowance for templates, and 3 output tokens at double the price. */
const reservationOf = (body: object): bigint => BigInt(JSON.stringify(body).length + 128 + 6) * MICRO;

interface World {
  readonly budget: BudgetInMemory;
  readonly usage: ReturnType<typeof usageInMemory>;
  readonly sent: string[];
  readonly serve: (
    body: object | string,
    reply?: RecordingReply,
  ) => Promise<{ readonly reply: RecordingReply; readonly refusal?: Refusal }>;
}

interface WorldOptions {
  readonly upstream?: Upstream;
  readonly budget?: BudgetInMemory;
  readonly usage?: ReturnType<typeof usageInMemory>;
  readonly overrides?: Partial<PipelineDependencies>;
}

function world(options: WorldOptions = {}): World {
  const { upstream = createEchoUpstream(Date.now), overrides = {} } = options;
  const budget = options.budget ?? budgetInMemory(1_000_000_000n);
  const usage = options.usage ?? usageInMemory();
  const log = createLogger("gateway", (line) => line, "silent");
  const sent: string[] = [];
  const watched: Upstream = {
    ...upstream,
    chatCompletion(request) {
      sent.push(typeof request.body === "string" ? request.body : Buffer.from(request.body).toString());
      return upstream.chatCompletion(request);
    },
  };
  const settlements = createSettlements({ admissions: budget, usageLog: usage, log });
  const serve = createPipeline({
    verifyKey: async () => callerWith(["inference:*"]),
    directory: createModelDirectory([MODEL]),
    admissions: budget,
    usageLog: usage,
    settlements,
    upstreams: new Map([["echo", watched]]),
    log,
    clock: Date.now,
    ...overrides,
  });
  return {
    budget,
    usage,
    sent,
    async serve(body, reply = recordingReply()) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const call = {
        requestId: newId("req"),
        receivedAt: new Date(),
        endpoint: "/v1/chat/completions",
        credential: { authorization: "Bearer rp_x", apiKey: undefined },
        readBody: async () => Buffer.from(text),
        reply,
      };
      const refusal = await serve(call).then(
        () => undefined,
        (error: Refusal) => error,
      );
      await settlements.stop();
      return refusal === undefined ? { reply } : { reply, refusal };
    },
  };
}

/** An upstream that answers with these chunks, and then with `fault` if there is one. */
function answering(contentType: string, chunks: readonly string[], more: Partial<UpstreamAnswer> = {}): Upstream {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  const answer = { status: 200, contentType, retryAfter: undefined, body: body(), discard() {}, ...more };
  return { chatCompletion: async () => answer, async close() {} };
}

async function* breakingAfter(chunk: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(chunk);
  throw new UpstreamFault("broken", "connection reset");
}

const down = (dependency: string): DomainError =>
  new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down", { metadata: { dependency } });

describe("a request that is served", () => {
  it("is charged what the upstream counted, and its hold is gone", async () => {
    const { serve, budget, usage } = world();
    const { reply } = await serve(BODY);
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ message: { content: "one two three" } }] });
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 9n * MICRO });
    expect(usage.admissions).toHaveLength(1);
    expect(usage.settlements).toMatchObject([
      { outcome: "succeeded", promptTokens: 3, completionTokens: 3, costNanoUsd: 9n * MICRO, estimated: false },
    ]);
    expect(usage.settlements[0]?.facts).toEqual(usage.admissions[0]);
  });

  it("gets no more output than is affordable", async () => {
    const body = { ...BODY, max_tokens: 1_000_000 };
    const { serve, sent } = world({ budget: budgetInMemory(reservationOf(body) - 2n * MICRO) });
    const { reply } = await serve(body);
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ max_tokens: 2 });
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ finish_reason: "length" }] });
  });

  it("lets no byte out before its admission is durable", async () => {
    const durable = Promise.withResolvers<void>();
    const { serve } = world({ usage: usageInMemory(() => durable.promise) });
    const reply = recordingReply();
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
    const { serve, sent, usage, budget } = world({ budget: budgetInMemory(10n * MICRO) });
    const { refusal } = await serve(BODY);
    expect(refusal?.facts).toMatchObject({
      status: 402,
      code: "budget_exceeded",
      details: { policy_id: "pol_1", binding_id: "bnd_1", principal_type: "namespace" },
    });
    expect(sent).toEqual([]);
    expect(budget.spentNano).toBe(0n);
    expect(usage.admissions).toEqual([]);
    expect(usage.settlements).toMatchObject([{ outcome: "denied", costNanoUsd: 0n, deniedByPolicyId: "pol_1" }]);
  });

  it.each([
    ["without the scope", callerWith(["keys:*"]), /inference:invoke/],
    ["with an operator credential", { kind: "operator" as const }, /namespace key/],
    ["with a service credential", { kind: "service" as const }, /namespace key/],
  ])("is refused with 403 %s before its body is read", async (_, caller, message) => {
    const { serve, sent } = world({ overrides: { verifyKey: async () => caller } });
    const { refusal } = await serve("not JSON");
    expect(refusal?.facts).toMatchObject({ status: 403, message: expect.stringMatching(message) as unknown });
    expect(sent).toEqual([]);
  });

  it.each(["auth", "policy"])("reaches no upstream while %s is down", async (dependency) => {
    const fail = async (): Promise<never> => {
      throw down(dependency);
    };
    const budget = budgetInMemory(1_000_000n);
    const overrides = dependency === "auth" ? { verifyKey: fail } : { admissions: { ...budget, admit: fail } };
    const { serve, sent } = world({ overrides, budget });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject({ code: "unavailable", metadata: { dependency } });
    expect(sent).toEqual([]);
    // The admission may have arrived all the same: what it may hold is released.
    expect(budget.calls.release).toBe(dependency === "policy" ? 1 : 0);
  });

  it("is cut at the upstream and costs nothing if its admission cannot be made durable", async () => {
    const signals: AbortSignal[] = [];
    const hanging: Upstream = {
      chatCompletion: ({ signal }) =>
        new Promise((_, reject) => {
          signals.push(signal);
          signal.addEventListener("abort", () => reject(new Error("aborted")));
        }),
      async close() {},
    };
    const usage = usageInMemory(() => Promise.reject(down("nats")));
    const { serve, budget } = world({ upstream: hanging, usage });
    const { refusal } = await serve(BODY);
    expect(refusal?.facts).toMatchObject({ status: 503, details: { dependency: "nats" } });
    expect(signals[0]?.aborted).toBe(true);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
    expect(usage.settlements).toMatchObject([{ outcome: "failed", costNanoUsd: 0n }]);
  });
});

describe("an upstream that fails", () => {
  const envelope = JSON.stringify({ error: { message: "no such thing", type: "t", param: "p", code: "c" } });
  it.each([
    [400, { status: 400, message: "no such thing", param: "p", code: "c" }],
    [404, { status: 404, message: "no such thing" }],
    [401, { status: 502, retryable: false }],
    [403, { status: 502, retryable: false }],
    [429, { status: 429, retryAfter: "7", retryable: true }],
    [500, { status: 502, retryable: true }],
    [302, { status: 502 }],
  ])("with status %i makes %j, and costs nothing", async (status, facts) => {
    const upstream = answering("application/json", [envelope], { status, retryAfter: "7" });
    const { serve, budget, usage } = world({ upstream });
    const { refusal } = await serve(BODY);
    expect(refusal?.facts).toMatchObject(facts);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
    expect(usage.settlements).toMatchObject([{ outcome: "failed", httpStatus: facts.status }]);
  });

  it.each([
    ["unreachable", 502],
    ["timeout", 504],
  ] as const)("by being %s makes %i", async (kind, status) => {
    const upstream: Upstream = {
      chatCompletion: () => Promise.reject(new UpstreamFault(kind, "no")),
      async close() {},
    };
    const { serve, budget } = world({ upstream });
    expect((await serve(BODY)).refusal?.facts.status).toBe(status);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
  });

  it.each([
    ["text that is no JSON", "application/json", "<html>"],
    ["JSON that is no completion", "application/json", '{"hello":1}'],
    ["a stream that was not asked for", "text/event-stream", "data: {}\n\n"],
  ])("by answering %s makes 502", async (_, contentType, body) => {
    const { serve, budget } = world({ upstream: answering(contentType, [body]) });
    const { refusal } = await serve(BODY);
    expect(refusal?.facts).toMatchObject({ status: 502, code: "upstream_invalid_response" });
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
  });
});

describe("usage that is not known", () => {
  it.each([
    ["absent", "{}"],
    ["negative", '{"prompt_tokens":-5,"completion_tokens":1}'],
    ["absurd", '{"prompt_tokens":1e18,"completion_tokens":1}'],
    ["fractional", '{"prompt_tokens":0.1,"completion_tokens":1}'],
  ])("because it is %s is charged as the whole reservation", async (_, reported) => {
    const body = `{"choices":[],"usage":${reported}}`;
    const { serve, usage, budget } = world({ upstream: answering("application/json", [body]) });
    const { reply } = await serve(BODY);
    expect(reply.text).toBe(body);
    expect(budget.spentNano).toBe(reservationOf(BODY));
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", estimated: true }]);
  });

  it("is charged in full where it exceeds the reservation", async () => {
    const body = '{"choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":5}}';
    const { serve, budget } = world({ upstream: answering("application/json", [body]) });
    await serve(BODY);
    expect(budget.spentNano).toBe(1_000_010n * MICRO);
  });
});

describe("a stream", () => {
  const stream = { ...BODY, stream: true };
  const first = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
  const usageChunk = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n';

  it("is charged by the usage chunk that only the gateway asked for", async () => {
    const { serve, sent, budget } = world();
    const { reply } = await serve(stream);
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ stream_options: { include_usage: true } });
    expect(reply.text).not.toContain("prompt_tokens");
    expect(reply.text).toMatch(/data: \[DONE\]\n\n$/);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 9n * MICRO });
  });

  it("that dies ends with an error event and is charged its reservation", async () => {
    const { serve, usage } = world({ upstream: answering("text/event-stream", [], { body: breakingAfter(first) }) });
    const { reply } = await serve(stream);
    expect(reply.text).toMatch(/"content":"a".*\n\ndata: \{"error":\{"message":.*\}\}\n\n$/);
    expect(reply.ended).toBe(true);
    expect(usage.settlements).toMatchObject([
      { outcome: "failed", estimated: true, costNanoUsd: reservationOf(stream) },
    ]);
  });

  it("that dies in the middle of an event passes no half event on", async () => {
    const half = `${first}data: {"choices":[{"del`;
    const { serve } = world({ upstream: answering("text/event-stream", [], { body: breakingAfter(half) }) });
    const { reply } = await serve(stream);
    expect(reply.text).toMatch(/^data: \{"choices":\[\{"delta":\{"content":"a"\}\}\]\}\n\ndata: \{"error"/);
  });

  it("that dies after its usage was reported is charged that", async () => {
    const body = breakingAfter(first + usageChunk);
    const { serve, usage } = world({ upstream: answering("text/event-stream", [], { body }) });
    await serve(stream);
    expect(usage.settlements).toMatchObject([{ outcome: "failed", estimated: false, costNanoUsd: 5n * MICRO }]);
  });

  it("that dies before its first event is a 502", async () => {
    const { serve } = world({ upstream: answering("text/event-stream", []) });
    expect((await serve(stream)).refusal?.facts.status).toBe(502);
  });

  it("whose client goes away is cancelled and charged its reservation, never nothing", async () => {
    const { serve, usage, budget } = world({ upstream: answering("text/event-stream", [first, first, usageChunk]) });
    await serve(
      stream,
      recordingReply((reply) => reply.cut("client_gone")),
    );
    expect(usage.settlements).toMatchObject([{ outcome: "cancelled", estimated: true }]);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(stream) });
  });

  it("whose client goes away after the end is charged what it used", async () => {
    const { serve, usage } = world({
      upstream: answering("text/event-stream", [`${first}${usageChunk}data: [DONE]\n\n`]),
    });
    await serve(
      stream,
      recordingReply((reply) => reply.cut("client_gone")),
    );
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", estimated: false, costNanoUsd: 5n * MICRO }]);
  });

  it("that runs into the total time-out ends with an error event", async () => {
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(first);
      await delay(200);
      yield Buffer.from(first);
    }
    const upstream = answering("text/event-stream", [], { body: slow() });
    const { serve, usage } = world({ upstream, overrides: { totalTimeoutMs: 50 } });
    const { reply } = await serve(stream);
    expect(reply.text).toContain("upstream_timeout");
    expect(usage.settlements).toMatchObject([{ outcome: "failed", estimated: true }]);
  });
});

describe("under concurrency", () => {
  it("requests together never spend more than the budget", async () => {
    const limit = reservationOf(BODY) * 5n;
    const { serve, budget } = world({ budget: budgetInMemory(limit) });
    const results = await Promise.all(Array.from({ length: 20 }, () => serve(BODY)));
    const denied = results.filter(({ refusal }) => refusal?.facts.status === 402).length;
    expect(denied).toBe(15);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 5n * 9n * MICRO });
  });
});
