import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { answeringUpstream, breakingAfter } from "../../../test/fake-upstream.ts";
import { BODY, MICRO, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { fakeReply } from "../../../test/fake-reply.ts";

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
    const upstream = answeringUpstream("application/json", [envelope], { status, retryAfter: "7" });
    const { serve, budget, usage } = pipelineUnderTest({ upstream });
    const { refusal } = await serve(BODY);
    expect(refusal).toMatchObject(facts);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
    expect(usage.settlements).toMatchObject([{ outcome: "failed", httpStatus: facts.status }]);
  });
});

describe("an answer with status 200 that cannot be used", () => {
  const usage = { usage: { prompt_tokens: 4, completion_tokens: 1 } };
  const invalid = "upstream_invalid_response";
  const stream = { ...BODY, stream: true };
  it.each<[string, object, string, string, bigint | undefined, string]>([
    ["text that is no JSON", BODY, "application/json", "<html>", undefined, invalid],
    ["JSON that is no completion", BODY, "application/json", '{"hello":1}', undefined, invalid],
    ["JSON that is no completion, with usage", BODY, "application/json", JSON.stringify(usage), 6n, invalid],
    [
      "a stream that was not requested and breaks off",
      BODY,
      "text/event-stream",
      "data: {}\n\n",
      undefined,
      "upstream_error",
    ],
    ["no stream where one was requested", stream, "text/html", "<html>", undefined, invalid],
    ["a whole completion where a stream was requested", stream, "application/json", JSON.stringify(usage), 6n, invalid],
  ])(
    "being %s makes 502, and is charged by its usage, else by the input and what came of it",
    async (_, body, type, text, used, code) => {
      const { serve, budget, usage } = pipelineUnderTest({ upstream: answeringUpstream(type, [text]) });
      expect((await serve(body)).refusal).toMatchObject({ status: 502, code });
      const [least, most] =
        used === undefined ? [reservationOf(body) - 6n * MICRO, reservationOf(body)] : [used * MICRO, used * MICRO];
      expect(budget.reservedNano).toBe(0n);
      expect(budget.spentNano).toBeGreaterThanOrEqual(least);
      expect(budget.spentNano).toBeLessThanOrEqual(most);
      const ended = { outcome: "failed", estimated: used === undefined, httpStatus: 502, errorCode: code };
      expect(usage.settlements).toMatchObject([{ costNanoUsd: budget.spentNano, ...ended }]);
    },
  );

  it.each([
    ["breaks off", "broken", 502, "upstream_error"],
    ["stops", "timeout", 504, "upstream_timeout"],
  ] as const)(
    "because it %s in its body makes %s: %i %s, and is charged as reserved",
    async (_, kind, status, code) => {
      const upstream = answeringUpstream("application/json", [], { body: breakingAfter('{"choices":[', kind) });
      const { serve, budget, usage } = pipelineUnderTest({ upstream });
      expect((await serve(BODY)).refusal).toMatchObject({ status, code });
      expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(BODY) });
      expect(usage.settlements).toMatchObject([{ outcome: "failed", estimated: true, httpStatus: status }]);
    },
  );

  it("or broken off is free where its status is a refusal", async () => {
    const upstream = answeringUpstream("application/json", [], { status: 500, body: breakingAfter("{") });
    const { serve, budget } = pipelineUnderTest({ upstream });
    expect((await serve(BODY)).refusal).toMatchObject({ status: 502, code: "upstream_error" });
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 0n });
  });
});

describe("an answer that is complex beyond the bounds", () => {
  const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;
  const refused = { status: 502, code: "upstream_invalid_response", message: expect.stringContaining("64 levels") };

  it("is 502, and charged as reserved", async () => {
    const upstream = answeringUpstream("application/json", [`{"choices":[],"x":${deep}}`]);
    const { serve, budget } = pipelineUnderTest({ upstream });
    expect((await serve(BODY)).refusal).toMatchObject(refused);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(BODY) });
  });

  it.each(["choices", "usage", "error", "x"])(
    "ends a stream at the chunk whose %s is, also the last one",
    async (name) => {
      const chunk = `data: {"choices":[],"${name}":{"a":${deep}}}`;
      for (const chunks of [[`${chunk}\n\n`, "data: [DONE]\n\n"], [chunk]]) {
        const { serve, budget } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", chunks) });
        expect((await serve({ ...BODY, stream: true })).refusal).toMatchObject(refused);
        expect(budget.reservedNano).toBe(0n);
      }
    },
  );

  it("is not quoted where it is an error", async () => {
    const upstream = answeringUpstream("application/json", [`{"error":{"message":"no","x":${deep}}}`], { status: 400 });
    const { refusal } = await pipelineUnderTest({ upstream }).serve(BODY);
    expect(refusal).toMatchObject({
      status: 400,
      message: "the upstream refused the request with HTTP status 400",
    });
  });
});

describe("usage that is not known", () => {
  it.each([
    ["absent", "{}"],
    ["negative", '{"prompt_tokens":-5,"completion_tokens":1}'],
    ["absurd", '{"prompt_tokens":1e18,"completion_tokens":1}'],
    ["fractional", '{"prompt_tokens":0.1,"completion_tokens":1}'],
  ])("because it is %s is estimated by the input as counted", async (_, reported) => {
    const body = `{"choices":[],"usage":${reported}}`;
    const { serve, usage, budget } = pipelineUnderTest({ upstream: answeringUpstream("application/json", [body]) });
    const { reply } = await serve(BODY);
    expect(reply.text).toBe(body);
    const [settlement] = usage.settlements;
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: true });
    expect(budget.spentNano).toBe(settlement?.costNanoUsd);
    expect(budget.spentNano).toBeGreaterThanOrEqual(reservationOf(BODY) - 6n * MICRO);
    expect(budget.spentNano).toBeLessThanOrEqual(reservationOf(BODY));
  });

  it("is charged in full where it exceeds the reservation", async () => {
    const body = '{"choices":[],"usage":{"prompt_tokens":1000000,"completion_tokens":5}}';
    const { serve, budget } = pipelineUnderTest({ upstream: answeringUpstream("application/json", [body]) });
    await serve(BODY);
    expect(budget.spentNano).toBe(1_000_010n * MICRO);
  });
});

describe("a stream", () => {
  const stream = { ...BODY, stream: true };
  const first = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
  const usageChunk = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n';

  it("is charged by the usage chunk that only the gateway requested", async () => {
    const { serve, sent, budget } = pipelineUnderTest();
    const { reply } = await serve(stream);
    expect(JSON.parse(sent[0] ?? "")).toMatchObject({ stream_options: { include_usage: true } });
    expect(reply.text).not.toContain("prompt_tokens");
    expect(reply.text).toMatch(/data: \[DONE\]\n\n$/);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: 9n * MICRO });
  });

  it("that dies ends with an error event and is charged its reservation", async () => {
    const { serve, usage } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [], { body: breakingAfter(first) }),
    });
    const { reply } = await serve(stream);
    expect(reply.text).toMatch(/"content":"a".*\n\ndata: \{"error":\{"message":.*\}\}\n\n$/);
    expect(reply.ended).toBe(true);
    expect(usage.settlements).toMatchObject([
      { outcome: "failed", estimated: true, costNanoUsd: reservationOf(stream) },
    ]);
  });

  it("that dies in the middle of an event passes no half event on", async () => {
    const half = `${first}data: {"choices":[{"del`;
    const { serve } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [], { body: breakingAfter(half) }),
    });
    const { reply } = await serve(stream);
    expect(reply.text).toMatch(/^data: \{"choices":\[\{"delta":\{"content":"a"\}\}\]\}\n\ndata: \{"error"/);
  });

  it("that dies after every choice is finished is whole, and charged its final usage", async () => {
    const finish = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n';
    const body = breakingAfter(first + finish + usageChunk);
    const { serve, usage } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", [], { body }) });
    const { reply } = await serve(stream);
    expect(reply.text).toMatch(/"finish_reason":"stop".*\n\ndata: \[DONE\]\n\n$/);
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", estimated: false, costNanoUsd: 5n * MICRO }]);
  });

  it("that dies before its first event is a 502", async () => {
    const { serve } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", []) });
    expect((await serve(stream)).refusal?.status).toBe(502);
  });

  it("whose client goes away is cancelled and charged its reservation, never nothing", async () => {
    const { serve, usage, budget } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [first, first, usageChunk]),
    });
    await serve(
      stream,
      fakeReply((reply) => reply.cancel("client_gone")),
    );
    expect(usage.settlements).toMatchObject([{ outcome: "cancelled", estimated: true }]);
    expect(budget).toMatchObject({ reservedNano: 0n, spentNano: reservationOf(stream) });
  });

  it("whose client goes away after the end is charged what it used", async () => {
    const { serve, usage } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [`${first}${usageChunk}data: [DONE]\n\n`]),
    });
    await serve(
      stream,
      fakeReply((reply) => reply.cancel("client_gone")),
    );
    expect(usage.settlements).toMatchObject([{ outcome: "succeeded", estimated: false, costNanoUsd: 5n * MICRO }]);
  });

  it("that runs into the total time-out ends with an error event", async () => {
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(first);
      await delay(200);
      yield Buffer.from(first);
    }
    const upstream = answeringUpstream("text/event-stream", [], { body: slow() });
    const { serve, usage } = pipelineUnderTest({ upstream, overrides: { totalTimeoutMs: 50 } });
    const { reply } = await serve(stream);
    expect(reply.text).toContain("upstream_timeout");
    expect(usage.settlements).toMatchObject([{ outcome: "failed", estimated: true }]);
  });
});

describe("a stream that goes on beyond the output that was granted", () => {
  const piece = (text: string, more = {}) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }], ...more })}\n\n`;
  const DONE = "data: [DONE]\n\n";
  const STREAM = { ...BODY, stream: true };
  const usage = (completion_tokens: number) => ({ usage: { prompt_tokens: 5, completion_tokens } });

  it.each([
    ["in one chunk", (all: readonly string[]) => [all.join("")]],
    ["piece by piece", (all: readonly string[]) => all],
  ])("is cancelled once its text cannot be within it, and charged as reserved, %s", async (_, toChunks) => {
    // Two words may be a token, so that the seventh is beyond three tokens.
    const words = ["one", " two", "", " three", " four", " five", " six", " seven", " eight"].map((text) =>
      piece(text),
    );
    const upstream = answeringUpstream("text/event-stream", toChunks([...words, DONE]));
    const { serve, budget, usage } = pipelineUnderTest({ upstream });
    const { reply } = await serve(STREAM);
    expect(reply.text).toContain(" six");
    expect(reply.text).not.toContain(" seven");
    expect(reply.text).toContain('"code":"reservation_exhausted"');
    expect(reply.text).not.toContain("[DONE]");
    expect(budget.spentNano).toBe(reservationOf(STREAM));
    expect(usage.settlements).toMatchObject([
      { outcome: "failed", errorCode: "reservation_exhausted", estimated: true },
    ]);
  });

  it.each([
    ["text without spaces", "x", 3 * 128],
    ["text in a script without spaces", "\u4e00", 3 * 20],
    ["blanks", " ", 3 * 128],
  ])("is cancelled in %s too", async (_, character, most) => {
    const chunks = Array.from({ length: most + 1 }, () => piece(character));
    const { serve } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", [...chunks, DONE]) });
    const { reply } = await serve(STREAM);
    expect(reply.text.split('"content"').length - 1).toBe(most);
    expect(reply.text).toContain('"code":"reservation_exhausted"');
  });

  it("passes whole where every piece is a character", async () => {
    const body = { ...STREAM, max_tokens: 60 };
    const text = "An answer of one character an event is no longer than others. ".repeat(4);
    const end = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], ...usage(56) })}\n\n`;
    const chunks = [...Array.from(text, (character) => piece(character)), end, DONE];
    const { serve, usage: log } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", chunks) });
    const { reply } = await serve(body);
    expect(reply.text).toBe(chunks.join(""));
    expect(log.settlements).toMatchObject([{ outcome: "succeeded", estimated: false, completionTokens: 56 }]);
  });

  it("is cancelled by the usage that it reports itself", async () => {
    const chunks = [piece("one", usage(1)), piece(" two", usage(9)), piece(" three", usage(10)), DONE];
    const { serve, usage: log } = pipelineUnderTest({ upstream: answeringUpstream("text/event-stream", chunks) });
    const { reply } = await serve(STREAM);
    expect(reply.text).not.toContain(" two");
    expect(log.settlements).toMatchObject([{ errorCode: "reservation_exhausted", completionTokens: 9 }]);
  });

  it("is passed on where it is over by then: the answer is complete, and the overrun is charged", async () => {
    const last = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], ...usage(9) })}\n\n`;
    const { serve, usage: log } = pipelineUnderTest({
      upstream: answeringUpstream("text/event-stream", [piece("one"), last, DONE]),
    });
    const { reply } = await serve(STREAM);
    expect(reply.text).toContain("[DONE]");
    expect(log.settlements).toMatchObject([{ outcome: "succeeded", completionTokens: 9 }]);
  });
});

describe("a whole answer that its client reads slowly", () => {
  it.each([
    ["api_key_revoked", "failed", "api_key_revoked"],
    ["too_long", "failed", "upstream_timeout"],
    ["client_gone", "cancelled", "client_gone"],
  ] as const)("and that %s breaks off is charged what it used, and records why", async (reason, outcome, errorCode) => {
    const answer = { choices: [{ message: { content: "hi" } }], usage: { prompt_tokens: 4, completion_tokens: 1 } };
    const { serve, usage } = pipelineUnderTest({
      upstream: answeringUpstream("application/json", [JSON.stringify(answer)]),
    });
    const slow = Object.assign(fakeReply(), {
      async end() {
        slow.cancel(reason);
        return false;
      },
    });
    await serve(BODY, slow);
    const ended = { outcome, errorCode, httpStatus: 200, estimated: false, costNanoUsd: 6n * MICRO };
    expect(usage.settlements).toMatchObject([ended]);
  });
});
