import { OPENAI_ERRORS } from "../errors/error-envelope.ts";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { fakeUsageLog } from "../../../test/fake-usage-log.ts";
import { BODY, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { boundTokens } from "../request/token-bounds.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault } from "../ports/upstream.ts";
import { ClientStream, HEARTBEAT_MS } from "./client-stream.ts";

const STREAM = { ...BODY, stream: true };
const BEAT = ": keep-alive\n\n";
const DONE = "data: [DONE]\n\n";
const HEAD = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};
const piece = 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n';
const finish =
  'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Upstream that thinks before its head, and between the parts of its stream. */
function thinking(
  headMs: number,
  parts: readonly string[],
  betweenMs = 0,
  more: Partial<UpstreamAnswer> = {},
): Upstream {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const part of parts) {
      await wait(betweenMs);
      yield Buffer.from(part);
    }
  }
  const answering = answeringUpstream("text/event-stream", [], { body: body(), ...more });
  return {
    ...answering,
    async send(request) {
      await wait(headMs);
      return answering.send(request);
    },
  };
}

describe("a stream whose upstream thinks", () => {
  it("has its head, against buffers, and heart-beats while nothing else leaves", async () => {
    const { serve, usage } = pipelineUnderTest({ upstream: thinking(3.5 * HEARTBEAT_MS, [piece, finish, DONE]) });
    const reply = fakeReply();
    const served = serve(STREAM, reply);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS - 100);
    expect(reply.begun).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(reply).toMatchObject({ status: 200, text: BEAT, headers: HEAD });
    await vi.advanceTimersByTimeAsync(3 * HEARTBEAT_MS);
    await served;
    expect(reply.text).toBe(BEAT.repeat(3) + piece + finish + DONE);
    const [settlement] = usage.settlements;
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false, costNanoUsd: 5_000n });
    // A heart-beat is not a token.
    expect(settlement?.firstTokenMs).toBeGreaterThan(3 * HEARTBEAT_MS);
  });

  it("has them between its events too, and none after its end", async () => {
    const { serve } = pipelineUnderTest({ upstream: thinking(0, [piece, finish + DONE], 2.5 * HEARTBEAT_MS) });
    const reply = fakeReply();
    const served = serve(STREAM, reply);
    await vi.advanceTimersByTimeAsync(20 * HEARTBEAT_MS);
    await served;
    expect(reply.text).toBe(BEAT.repeat(2) + piece + BEAT.repeat(2) + finish + DONE);
    expect(reply.headers).toMatchObject(HEAD);
  });

  it("has none while its events come faster than they are due", async () => {
    const parts = [...Array.from({ length: 30 }, () => ": working\n\n"), finish, DONE];
    const { serve } = pipelineUnderTest({ upstream: thinking(0, [piece, ...parts], HEARTBEAT_MS / 3) });
    const reply = fakeReply();
    const served = serve(STREAM, reply);
    await vi.advanceTimersByTimeAsync(20 * HEARTBEAT_MS);
    await served;
    expect(reply.text).not.toContain(BEAT);
  });

  it("has heart-beats that no guardrail judges", async () => {
    const contentPatterns = [{ name: "k", pattern: "keep", action: "block" as const, appliesTo: "response" as const }];
    const guardrails = fakeGuardrailDirectory([{ contentPatterns }]);
    const { serve, usage } = pipelineUnderTest({
      upstream: thinking(1.5 * HEARTBEAT_MS, [piece, finish, DONE]),
      guardrails,
    });
    const reply = fakeReply();
    const settled = usage.settlements;
    const served = serve(STREAM, reply);
    // The patterns are compiled meanwhile, in turns of the event loop that no fake clock counts.
    while (settled.length === 0) {
      await vi.advanceTimersByTimeAsync(HEARTBEAT_MS / 10);
      await setImmediate();
    }
    await served;
    expect(reply.text.startsWith(BEAT)).toBe(true);
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", guardrailDecisions: [] }]);
  });

  it("has none before its admission is committed", async () => {
    const usage = fakeUsageLog(() => new Promise((resolve) => setTimeout(resolve, 3 * HEARTBEAT_MS)));
    const { serve } = pipelineUnderTest({ upstream: thinking(0, [piece, finish, DONE]), usage });
    const reply = fakeReply();
    const served = serve(STREAM, reply);
    await vi.advanceTimersByTimeAsync(3 * HEARTBEAT_MS - 100);
    expect(reply.begun).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    await served;
    expect(reply.text).toBe(piece + finish + DONE);
  });

  it("gets a refusal of the upstream with its status before the first heart-beat, and as an error event after it", async () => {
    const refused = { status: 429, retryAfter: "7", contentType: "application/json" };
    const body = '{"error":{"message":"slow down","code":"busy"}}';
    for (const [headMs, begun] of [
      [HEARTBEAT_MS / 2, false],
      [HEARTBEAT_MS * 1.5, true],
    ] as const) {
      const { serve, usage, budget } = pipelineUnderTest({ upstream: thinking(headMs, [body], 0, refused) });
      const reply = fakeReply();
      const served = serve(STREAM, reply);
      await vi.advanceTimersByTimeAsync(2 * HEARTBEAT_MS);
      const { refusal } = await served;
      expect(refusal?.status).toBe(begun ? undefined : 429);
      const event = 'data: {"error":{"message":"slow down","type":"requests","param":null,"code":"busy"}}\n\n';
      expect(reply.text).toBe(begun ? BEAT + event : "");
      expect(reply.ended).toBe(begun);
      expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
      expect(usage.settlements).toMatchObject([
        { outcome: "failed", httpStatus: begun ? 200 : 429, errorCode: "busy", upstreamStatus: 429 },
      ]);
    }
  });

  it.each(["unreachable", "timeout", "broken"] as const)(
    "gets an upstream that is %s as an error event after it",
    async (kind) => {
      const send: Upstream["send"] = async () => {
        await wait(HEARTBEAT_MS * 1.5);
        throw new UpstreamFault(kind, "no");
      };
      const { serve, usage } = pipelineUnderTest({ upstream: { boundTokens, send, async close() {} } });
      const reply = fakeReply();
      const served = serve(STREAM, reply);
      await vi.advanceTimersByTimeAsync(2 * HEARTBEAT_MS);
      expect((await served).refusal).toBeUndefined();
      expect(reply.text).toMatch(/^: keep-alive\n\ndata: \{"error":\{.*"code":"upstream_.*\n\n$/);
      expect(reply.ended).toBe(true);
      expect(usage.settlements).toMatchObject([{ outcome: "failed", httpStatus: 200 }]);
    },
  );

  it("that answers whole has heart-beats until then, and chunks", async () => {
    const whole = JSON.stringify({ choices: [{ index: 0, message: { content: "hello" }, finish_reason: "stop" }] });
    const { serve } = pipelineUnderTest({
      upstream: thinking(1.5 * HEARTBEAT_MS, [whole], 0, { contentType: "application/json" }),
    });
    const reply = fakeReply();
    const served = serve(STREAM, reply);
    await vi.advanceTimersByTimeAsync(2 * HEARTBEAT_MS);
    await served;
    expect(reply.text).toMatch(/^: keep-alive\n\ndata: .*hello.*\n\ndata: .*\n\ndata: \[DONE\]\n\n$/);
  });

  it("is no concern of a request that asks for a whole answer", async () => {
    const whole = JSON.stringify({ choices: [{ index: 0, message: { content: "hello" }, finish_reason: "stop" }] });
    const { serve } = pipelineUnderTest({
      upstream: thinking(3 * HEARTBEAT_MS, [whole], 0, { contentType: "application/json" }),
    });
    const reply = fakeReply();
    const served = serve(BODY, reply);
    await vi.advanceTimersByTimeAsync(4 * HEARTBEAT_MS);
    await served;
    expect(reply.text).toBe(whole);
    expect(reply.headers).not.toHaveProperty("x-accel-buffering");
  });
});

describe("a client that does not read", () => {
  it("gets no further heart-beat until it has taken the last one, or an event before it", async () => {
    const taken: (() => void)[] = [];
    const written: string[] = [];
    const reply = {
      ...fakeReply(),
      write(bytes: Uint8Array) {
        written.push(Buffer.from(bytes).toString());
        return new Promise<void>((resolve) => taken.push(resolve));
      },
    };
    const stream = new ClientStream(reply, OPENAI_ERRORS, 100);
    stream.start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(written).toEqual([BEAT]);
    taken.shift()?.();
    await vi.advanceTimersByTimeAsync(150);
    expect(written).toEqual([BEAT, BEAT]);
    taken.shift()?.();
    const passed = stream.write([Buffer.from(piece)]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(written).toEqual([BEAT, BEAT, piece]);
    taken.shift()?.();
    await passed;
    stream.stop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(written).toHaveLength(3);
  });
});
