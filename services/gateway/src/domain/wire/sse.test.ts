import { describe, expect, it } from "vitest";
import { type SseEvent, SseOverflow, SseSplitter } from "./sse.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { StreamMeter } from "../metering/stream-meter.ts";

const MAX_EVENT_BYTES = 10_000;

interface Read {
  readonly relayed: string;
  readonly data: readonly (string | undefined)[];
  readonly usage: unknown;
  readonly done: boolean;
}

function newMeter(wantsUsageChunk: boolean): StreamMeter {
  const { answer } = CHAT;
  if (answer.stream === undefined) throw new Error("chat completions are streamed");
  return new StreamMeter({ format: answer, wantsUsageChunk, outputTokensMax: 1_000_000, choices: 1 }, answer.stream);
}

/** Bytes that a client which did not request usage gets of a stream in these chunks. */
function read(chunks: readonly Uint8Array[]): Read {
  const splitter = new SseSplitter(MAX_EVENT_BYTES);
  const meter = newMeter(false);
  const events: SseEvent[] = [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
  const kept = events.filter((event) => {
    if (CHAT.answer.stream?.endOf(event) !== undefined) meter.end();
    return meter.absorb(event.data);
  });
  return {
    relayed: Buffer.concat(kept.map(({ raw }) => raw)).toString("utf8"),
    data: events.map(({ data }) => data),
    usage: meter.usage,
    done: meter.isDone,
  };
}

const USAGE = '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}';
const CORPUS: Readonly<Record<string, { readonly stream: string; readonly relayed: string }>> = {
  "LF, with characters of 2, 3 and 4 bytes": {
    stream: `data: {"choices":[{"delta":{"content":"é€😀"}}]}\n\ndata: ${USAGE}\n\ndata: [DONE]\n\n`,
    relayed: 'data: {"choices":[{"delta":{"content":"é€😀"}}]}\n\ndata: [DONE]\n\n',
  },
  CRLF: {
    stream: `data: {"choices":[1]}\r\n\r\ndata: ${USAGE}\r\n\r\ndata: [DONE]\r\n\r\n`,
    relayed: 'data: {"choices":[1]}\r\n\r\ndata: [DONE]\r\n\r\n',
  },
  "lone CR": {
    stream: `data: {"choices":[1]}\r\rdata: ${USAGE}\r\rdata: [DONE]\r\r`,
    relayed: 'data: {"choices":[1]}\r\rdata: [DONE]\r\r',
  },
  "data without a space, comments, other fields, several data lines, mixed line ends": {
    stream: `: keep-alive\n\nevent: x\r\ndata:{"choices":\ndata:[1]}\r\rdata:${USAGE}\n\r\ndata:[DONE]\n\n`,
    relayed: ': keep-alive\n\nevent: x\r\ndata:{"choices":\ndata:[1]}\r\rdata:[DONE]\n\n',
  },
  "no newline at the end": {
    stream: `data: {"choices":[1]}\n\ndata: ${USAGE}\n\ndata: [DONE]`,
    relayed: 'data: {"choices":[1]}\n\ndata: [DONE]',
  },
  "a byte order mark": {
    stream: `\uFEFFdata: ${USAGE}\n\ndata: [DONE]\n\n`,
    relayed: "data: [DONE]\n\n",
  },
};

describe.each(Object.entries(CORPUS))("a stream with %s", (_, { stream, relayed }) => {
  const bytes = Buffer.from(stream);
  const whole = read([bytes]);

  it("is relayed byte for byte, without the chunk that only the gateway requested", () => {
    expect(whole.relayed).toBe(relayed);
    expect(whole).toMatchObject({ usage: { promptTokens: 7, completionTokens: 5 }, done: true });
  });

  it("reads the same for every split into two chunks, into three, and into single bytes", () => {
    expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
    for (let first = 0; first <= bytes.length; first++) {
      expect(read([bytes.subarray(0, first), bytes.subarray(first)])).toEqual(whole);
      for (let second = first; second <= Math.min(first + 4, bytes.length); second++) {
        const chunks = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        expect(read(chunks)).toEqual(whole);
      }
    }
  });
});

describe("SseSplitter", () => {
  it("joins the data lines of an event and drops one leading space of each", () => {
    const [event] = new SseSplitter(MAX_EVENT_BYTES).push(Buffer.from("data:  a\ndata:b\ndata\nid: 1\n\n"));
    expect(event?.data).toBe(" a\nb\n");
  });

  it("takes time linear in an event that comes byte by byte", () => {
    const text = "x".repeat(1024 ** 2);
    const splitter = new SseSplitter(2 * 1024 ** 2);
    const events = [...Buffer.from(`data: ${text}\n\ndata: y\n\n`)].flatMap((byte) =>
      splitter.push(Uint8Array.of(byte)),
    );
    expect(events.map(({ data }) => data)).toEqual([text, "y"]);
    expect(events[0]?.raw.toString()).toBe(`data: ${text}\n\n`);
  });

  it("keeps no more of an unfinished event than its bound", () => {
    const splitter = new SseSplitter(100);
    splitter.push(Buffer.alloc(90, "x"));
    expect(() => splitter.push(Buffer.alloc(20, "x"))).toThrow(SseOverflow);
  });
});

describe("StreamMeter", () => {
  it("takes the last of several usages, because each includes those before, once the choice is finished", () => {
    const meter = newMeter(false);
    for (const [tokens, finish_reason] of [
      [1, null],
      [2, null],
      [3, "stop"],
    ] as const) {
      expect(meter.usage).toBeUndefined();
      const usage = { prompt_tokens: 4, completion_tokens: tokens };
      expect(meter.absorb(JSON.stringify({ choices: [{ delta: {}, finish_reason }], usage }))).toBe(true);
      expect(meter.metered.reported).toMatchObject({ completionTokens: tokens });
    }
    expect(meter.usage).toEqual({ promptTokens: 4, completionTokens: 3 });
  });

  it("passes the usage chunk on to a client that requested it", () => {
    expect(newMeter(true).absorb(USAGE)).toBe(true);
  });

  it("ignores usage that a model writes into its text", () => {
    const meter = newMeter(false);
    const content = '{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}';
    expect(meter.absorb(JSON.stringify({ choices: [{ delta: { content } }] }))).toBe(true);
    expect(meter.usage).toBeUndefined();
  });

  it.each([-1, 0.5, 1e10, "3", null])("ignores a count of %j", (completionTokens) => {
    const meter = newMeter(false);
    meter.absorb(JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: completionTokens } }));
    expect(meter.usage).toBeUndefined();
  });
});
