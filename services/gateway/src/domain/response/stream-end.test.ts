import { describe, expect, it, vi } from "vitest";
import { answeringUpstream, breakingAfter } from "../../../test/fake-upstream.ts";
import { fakeReply } from "../../../test/fake-reply.ts";
import { BODY, MICRO, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import type { UpstreamFaultKind } from "../ports/upstream.ts";
import { END_GRACE_MS, FINISH_GRACE_MS } from "./answer-stream.ts";

const STREAM = { ...BODY, stream: true };
const COST = 5n * MICRO;
const DONE = "data: [DONE]\n\n";
const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
const piece = (content: string, index = 0): string => event({ choices: [{ index, delta: { content } }] });
const finish = (index = 0, usage?: object): string =>
  event({ choices: [{ index, delta: {}, finish_reason: "stop" }], ...(usage && { usage }) });
const COUNTS = { prompt_tokens: 3, completion_tokens: 1 };
const USAGE = event({ choices: [], usage: COUNTS });

async function* parts(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

/** Body that sends this, and then neither anything more nor its end. @param more sent every 100 ms for ever */
async function* hanging(text: string, more?: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (more !== undefined) yield Buffer.from(more);
  }
}

async function serve(body: AsyncIterable<Uint8Array>, request: object = STREAM) {
  let discarded = 0;
  const upstream = answeringUpstream("text/event-stream", [], { body, discard: () => void discarded++ });
  const { serve, usage, budget } = pipelineUnderTest({ upstream });
  const reply = fakeReply();
  const served = await serve(request, reply);
  return { ...served, settlement: usage.settlements[0], budget, discarded };
}

describe("a stream whose choices are all finished", () => {
  it.each<[string, () => AsyncGenerator<Uint8Array>]>([
    ["and whose connection ends", () => parts(piece("a"), finish(), USAGE)],
    ["in the chunk with the usage, at the end", () => parts(piece("a"), finish(0, COUNTS))],
    ["and whose last event lacks its blank line", () => parts(piece("a"), finish(), USAGE.trimEnd())],
    [
      "and whose last event lacks a line end",
      () => parts(piece("a"), USAGE.trimEnd(), `\n\n${finish(0, COUNTS).trimEnd()}\n`),
    ],
    ["and whose transfer is cut off", () => breakingAfter(piece("a") + finish() + USAGE)],
    ["and whose transfer stalls", () => breakingAfter(piece("a") + finish() + USAGE, "timeout")],
    [
      "and that breaks off within an event behind them",
      () => breakingAfter(`${piece("a")}${finish()}${USAGE}data: {"cho`),
    ],
  ])("is whole without [DONE] %s: the client gets one from the gateway", async (_, body) => {
    const { reply, refusal, settlement } = await serve(body());
    expect(refusal).toBeUndefined();
    expect(reply.text).toContain('"finish_reason":"stop"');
    expect(reply.text.endsWith(`\n\n${DONE}`)).toBe(true);
    expect(reply.ended).toBe(true);
    expect(settlement).toMatchObject({
      outcome: "succeeded",
      errorCode: "",
      httpStatus: 200,
      estimated: false,
      costNanoUsd: COST,
    });
  });

  it("is whole without usage too, which is then an estimate", async () => {
    for (const body of [parts(piece("a"), finish()), breakingAfter(piece("a") + finish())]) {
      const { reply, settlement } = await serve(body);
      expect(reply.text.endsWith(DONE)).toBe(true);
      expect(settlement).toMatchObject({ outcome: "succeeded", estimated: true });
      expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
    }
  });

  it("is not whole while one of the requested choices is not finished", async () => {
    for (const body of [parts(piece("a"), piece("b", 1), finish(0), USAGE), parts(piece("a"), finish(1))]) {
      const { reply, settlement } = await serve(body, { ...STREAM, n: 2 });
      expect(reply.text).toContain('"code":"upstream_error"');
      expect(reply.text).not.toContain("[DONE]");
      expect(settlement).toMatchObject({ outcome: "failed", errorCode: "upstream_error" });
    }
  });

  it("is not whole if more text followed before it broke off", async () => {
    const { settlement } = await serve(breakingAfter(piece("a") + finish() + piece("b")));
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "upstream_error" });
    const ended = await serve(parts(piece("a"), finish(), piece("b")));
    expect(ended.settlement).toMatchObject({ outcome: "succeeded" });
  });

  it("breaks off if none has a finish reason", async () => {
    for (const kind of [undefined, "broken", "timeout"] as readonly (UpstreamFaultKind | undefined)[]) {
      const { reply, settlement } = await serve(
        kind === undefined ? parts(piece("a")) : breakingAfter(piece("a"), kind),
      );
      expect(reply.text).toContain('data: {"error"');
      expect(settlement).toMatchObject({ outcome: "failed", estimated: true });
    }
  });
});

describe("the end of a stream", () => {
  it.each<[string, string, boolean]>([
    ["as OpenAI writes it", DONE, true],
    ["without a blank", "data:[DONE]\n\n", true],
    ["with CRLF", "data: [DONE]\r\n\r\n", true],
    ["with lone CR", "data: [DONE]\r\r", true],
    ["with blanks around it", "data:  [DONE] \n\n", false],
    ["in lower case", "data: [done]\n\n", false],
    ["as a JSON text", 'data: "[DONE]"\n\n', false],
    ["named so", "event: done\ndata: [DONE]\n\n", true],
    ["named so, without more", "event: done\ndata: {}\n\n", false],
    ["without its blank line", "data: [DONE]", true],
    ["followed by other events", `${DONE}: bye\n\n${piece("late")}event: x\ndata: {}\n\n`, true],
  ])("is recognised %s, and the client can read it", async (_, end, isSame) => {
    const { reply, settlement } = await serve(parts(piece("a"), finish(), USAGE, end));
    expect(reply.text).not.toContain("late");
    const sent = isSame ? /data: ?\[DONE\](?:\r\n|\r|\n){2}$/ : /\n\ndata: \[DONE\]\n\n$/;
    expect(reply.text).toMatch(sent);
    expect(reply.text.match(/\[DONE\]/gi)).toHaveLength(1);
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false, costNanoUsd: COST });
  });

  it.each<[string, (text: string) => AsyncGenerator<Uint8Array>]>([
    ["holds the connection open", (text) => hanging(text)],
    ["goes on with comments", (text) => hanging(text, ": still here\n\n")],
    ["goes on with what is no event", (text) => hanging(text, "garbage ")],
    ["goes on with chunks", (text) => hanging(text, event({ choices: [] }))],
  ])("frees client and reservation although the upstream %s", async (_, bodyOf) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      for (const [text, withinMs] of [
        [piece("a") + finish() + USAGE + DONE, 0],
        [piece("a") + finish(0, COUNTS) + DONE, 0],
        [piece("a") + finish() + DONE, END_GRACE_MS],
        [piece("a") + finish() + USAGE, END_GRACE_MS],
        [piece("a") + finish(), FINISH_GRACE_MS],
      ] as const) {
        const served = serve(bodyOf(text));
        await vi.advanceTimersByTimeAsync(withinMs + 500);
        const { reply, settlement, budget, discarded } = await served;
        expect(reply.text).toMatch(/data: \[DONE\]\n\n$/);
        expect(reply.ended).toBe(true);
        expect(budget.reservedNano).toBe(0n);
        expect(discarded).toBe(1);
        expect(settlement).toMatchObject({ outcome: "succeeded", estimated: !text.includes("prompt_tokens") });
      }
    } finally {
      vi.useRealTimers();
    }
  });

  it("is not reached while text arrives after a finish reason that came too early", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(finish());
        for (let at = 0; at < 3; at++) {
          await new Promise((resolve) => setTimeout(resolve, FINISH_GRACE_MS - 1_000));
          yield Buffer.from(piece(`w${at}`));
        }
        yield Buffer.from(DONE);
      }
      const served = serve(slow());
      await vi.advanceTimersByTimeAsync(4 * FINISH_GRACE_MS);
      expect((await served).reply.text).toContain("w2");
    } finally {
      vi.useRealTimers();
    }
  });

  it("reaches the client at once, also if the usage comes after it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      const ends: boolean[] = [];
      const reply = fakeReply();
      async function* late(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(piece("a") + finish() + DONE);
        await new Promise((resolve) => setTimeout(resolve, END_GRACE_MS / 2));
        ends.push(reply.ended);
        yield Buffer.from(USAGE);
      }
      const { serve, usage } = pipelineUnderTest({
        upstream: answeringUpstream("text/event-stream", [], { body: late() }),
      });
      const served = serve(STREAM, reply);
      await vi.advanceTimersByTimeAsync(END_GRACE_MS * 2);
      await served;
      expect(ends).toEqual([true]);
      expect(reply.text).not.toContain("prompt_tokens");
      expect(usage.settlements).toMatchObject([{ outcome: "succeeded", estimated: false, costNanoUsd: COST }]);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("an event of a stream", () => {
  it("may be as large as a whole answer, and passes byte for byte in bounded time", async () => {
    const large = event({ choices: [{ index: 0, delta: { content: "a" } }], padding: "é".repeat(8 * 1024 ** 2) });
    const bytes = Buffer.from(large + finish(0, COUNTS) + DONE);
    async function* split(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 16_384) yield bytes.subarray(at, at + 16_384);
    }
    const { reply, settlement } = await serve(split());
    expect(Buffer.from(reply.text).equals(bytes)).toBe(true);
    expect(settlement).toMatchObject({ outcome: "succeeded", costNanoUsd: COST });
  }, 60_000);

  it("that is larger ends the stream", async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${piece("a")}data: "`);
      const chunk = Buffer.alloc(1024 ** 2, "x");
      for (;;) yield chunk;
    }
    const { reply, settlement } = await serve(endless());
    expect(reply.text).toContain('"code":"upstream_invalid_response"');
    expect(settlement).toMatchObject({ outcome: "failed", costNanoUsd: reservationOf(STREAM) });
  }, 60_000);
});
