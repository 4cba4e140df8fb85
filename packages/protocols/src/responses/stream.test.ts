import fc from "fast-check";
import { ResponseStream } from "openai/lib/responses/ResponseStream";
import { describe, expect, it } from "vitest";
import { answers, assemble, eventsOf } from "../../test/neutral-streams.ts";
import type { NeutralAnswer, StreamEvent, WireEvent } from "../model.ts";
import { StreamWriter } from "../stream-writer.ts";
import { wholeHead } from "../whole-head.ts";
import { responsesCodec } from "./codec.ts";
import { MAX_STREAM_PARTS } from "./response-object.ts";

const choices = fc.array(fc.nat({ max: 8 }), { minLength: 1, maxLength: 12 });

/** Events of a response for the events of a neutral stream. */
function write(events: readonly StreamEvent[]): readonly WireEvent[] {
  const writer = new StreamWriter(responsesCodec.openStreamWriter(), {});
  return [...events.flatMap((event) => writer.write(event)), ...writer.finish()];
}

function read(events: readonly WireEvent[]): readonly StreamEvent[] {
  const reader = responsesCodec.openStreamReader();
  return [...events.flatMap((event) => reader.read(event)), ...reader.finish()];
}

const dataOf = ({ data }: WireEvent) => JSON.parse(data) as Record<string, unknown> & { readonly type: string };

const HEAD = { type: "start", id: "msg_01", model: "m", createdAt: 1_700_000_000 } as const;

describe("a stream of the responses wire", () => {
  it("ends with the same response as the whole answer, however its parts are mixed", () => {
    fc.assert(
      fc.property(answers, choices, (answer, mix) => {
        const last = dataOf(write(eventsOf(answer, mix)).at(-1) as WireEvent);
        expect(["response.completed", "response.incomplete"]).toContain(last.type);
        expect(last["response"]).toEqual(responsesCodec.writeAnswer(wholeHead(answer, {})));
      }),
    );
  });

  it("is assembled by OpenAI's client to the same response as the whole answer", async () => {
    const completed = answers.filter(({ stop }) => ["end", "tool_calls", "stop_sequence"].includes(stop.reason ?? ""));
    await fc.assert(
      fc.asyncProperty(completed, choices, async (answer, mix) => {
        const lines = write(eventsOf(answer, mix)).map(({ data }) => `${data}\n`);
        const stream = ResponseStream.fromReadableStream(ReadableStream.from(lines.map((line) => Buffer.from(line))));
        const { output_text: text, ...assembled } = await stream.finalResponse();
        const whole = responsesCodec.writeAnswer(wholeHead(answer, {}));
        expect(withoutParsed(assembled)).toEqual(whole);
        const texts = answer.parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
        expect(text).toBe(texts.join(""));
      }),
      { numRuns: 40 },
    );
  });

  it("sends pieces that add up to its items, with consecutive sequence numbers", () => {
    fc.assert(
      fc.property(answers, choices, (answer, mix) => {
        const events = write(eventsOf(answer, mix));
        expect(events.map((event) => dataOf(event)["sequence_number"])).toEqual(events.map((_, index) => index));
        expect(events.every((event) => event.name === dataOf(event).type)).toBe(true);
        const sums = new Map<string, string>();
        for (const event of events.map(dataOf)) {
          const { item_id: item, content_index: part = 0, delta, text, refusal, arguments: json, input, type } = event;
          const key = `${String(item)} ${String(part)}`;
          if (type.endsWith(".delta")) sums.set(key, (sums.get(key) ?? "") + String(delta));
          else if (/(?:text|refusal|arguments|input)\.done$/.test(type)) {
            expect(sums.get(key) ?? "").toBe(text ?? refusal ?? json ?? input);
          }
        }
      }),
    );
  });

  it("is read back to the answer from which it was written", () => {
    fc.assert(
      fc.property(answers, choices, (answer, mix) => {
        const whole = responsesCodec.readAnswer(responsesCodec.writeAnswer(wholeHead(answer, {})));
        expect(assemble(read(write(eventsOf(answer, mix))))).toEqual(whole);
        expect(whole.parts.slice(0, answer.parts.length)).toEqual(answer.parts);
        expect(whole.usage).toEqual(answer.usage);
      }),
    );
  });
});

/** Response without the members that the client's parser adds. */
function withoutParsed(response: object): unknown {
  return JSON.parse(
    JSON.stringify(response, (key, value: unknown) => (/^(?:output_)?parsed/.test(key) ? undefined : value)),
  );
}

describe("the events of a response", () => {
  it("are those of OpenAI's API, in its order", () => {
    const answer: NeutralAnswer = {
      id: "msg_01",
      model: "m",
      createdAt: 1_700_000_000,
      parts: [
        { type: "thinking", text: "a", at: "", seal: { wire: "messages", kind: "signature", value: "s" } },
        { type: "text", text: "b", at: "" },
        { type: "tool_call", id: "toolu_1", name: "f", arguments: "{", kind: "function", at: "" },
      ],
      stop: { reason: "tool_calls" },
      usage: { input: 1, output: 2 },
    };
    expect(write(eventsOf(answer, [0])).map(({ name }) => name)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.reasoning_summary_part.added",
      "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done",
      "response.reasoning_summary_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
  });

  it("report the usage of a stream that breaks off, and no end", () => {
    const events = write([HEAD, { type: "usage", usage: { input: 7 } }]).map(dataOf);
    expect(events.map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      "response.in_progress",
    ]);
    expect(events.at(-1)?.["response"]).toMatchObject({ status: "in_progress", usage: { input_tokens: 7 } });
    expect(write([HEAD])).toHaveLength(2);
  });

  it("report an error as such, and the failed response with its output so far", () => {
    const events = write([
      HEAD,
      { type: "part_start", index: 0, part: { type: "text" } },
      { type: "part_delta", index: 0, text: "hal" },
      { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
      { type: "part_delta", index: 0, text: "f" },
    ]).map(dataOf);
    const [error, failed] = events.slice(-2);
    expect(error).toMatchObject({ type: "error", code: "overloaded_error", message: "Overloaded", param: null });
    expect(failed).toMatchObject({
      type: "response.failed",
      response: {
        status: "failed",
        error: { code: "overloaded_error", message: "Overloaded" },
        output: [{ status: "incomplete", content: [{ text: "hal" }] }],
      },
    });
  });

  it("give a function without arguments an empty object", () => {
    const call = { type: "tool_call", id: "call_1", name: "f", kind: "function" } as const;
    const events = write([
      HEAD,
      { type: "part_start", index: 0, part: call },
      { type: "part_end", index: 0 },
      { type: "stop", stop: { reason: "tool_calls" } },
      { type: "end" },
    ]).map(dataOf);
    expect(events.map(({ delta }) => delta).filter((delta) => delta !== undefined)).toEqual(["{}"]);
    expect(events.at(-1)?.["response"]).toMatchObject({ output: [{ type: "function_call", arguments: "{}" }] });
  });
});

/** Data of events as an upstream sends them. */
const sent = (...events: readonly object[]): readonly StreamEvent[] =>
  read(events.map((event) => ({ data: JSON.stringify(event) })));

describe("a stream of a responses upstream", () => {
  const created = { type: "response.created", response: { id: "resp_1", model: "m", created_at: 1 } };

  it("is read from its last event if it has no others", () => {
    const message = { type: "message", content: [{ type: "output_text", text: "hi" }] };
    const call = { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" };
    const response = { ...created.response, status: "completed", output: [message, call], usage: { input_tokens: 3 } };
    expect(assemble(sent({ type: "response.completed", response }))).toEqual(responsesCodec.readAnswer(response));
  });

  it("uses a repeated text only if there were no pieces of it", () => {
    const place = { output_index: 0, content_index: 0 };
    const pieces = [
      { type: "response.output_text.delta", ...place, delta: "a" },
      { type: "response.output_text.delta", ...place, delta: "b" },
    ];
    const done = { type: "response.output_text.done", ...place, text: "ab" };
    const item = {
      type: "response.output_item.done",
      output_index: 0,
      item: { type: "message", content: [{ type: "output_text", text: "ab" }] },
    };
    for (const events of [[...pieces, done, item], [done, item], [item], pieces]) {
      expect(assemble(sent(created, ...events)).parts).toEqual([{ type: "text", text: "ab", at: "" }]);
    }
  });

  it("separates the parts of a summary as in the whole answer, and keeps its seal and its id", () => {
    const item = {
      type: "reasoning",
      id: "rs_1",
      summary: [
        { type: "summary_text", text: "one" },
        { type: "summary_text", text: "two" },
      ],
      encrypted_content: "gAAAA",
    };
    const delta = (summary_index: number, delta: string) => ({
      type: "response.reasoning_summary_text.delta",
      output_index: 0,
      summary_index,
      delta,
    });
    const { parts } = assemble(
      sent(created, delta(0, "o"), delta(0, "ne"), delta(1, "two"), {
        type: "response.output_item.done",
        output_index: 0,
        item,
      }),
    );
    expect(parts).toEqual(responsesCodec.readAnswer({ output: [item] }).parts);
    expect(parts).toEqual([
      {
        type: "thinking",
        text: "one\n\ntwo",
        at: "",
        seal: { wire: "responses", kind: "encrypted", value: "gAAAA", id: "rs_1" },
      },
    ]);
  });

  it("fails beyond the maximum number of parts, in both directions", () => {
    const added = Array.from({ length: MAX_STREAM_PARTS + 2 }, (_, output_index) => ({
      type: "response.output_item.added",
      output_index,
      item: { type: "reasoning" },
    }));
    const events = sent(...added);
    expect(events.filter(({ type }) => type === "part_start")).toHaveLength(MAX_STREAM_PARTS);
    expect(events.at(-1)).toMatchObject({ type: "error", error: { message: "The answer has too many parts." } });
    const starts = Array.from({ length: MAX_STREAM_PARTS + 2 }, (_, index): StreamEvent => {
      return { type: "part_start", index, part: { type: "thinking" } };
    });
    const written = write([HEAD, ...starts]).map(dataOf);
    expect(written.filter(({ type }) => type === "response.output_item.added")).toHaveLength(MAX_STREAM_PARTS);
    expect(written.at(-1)).toMatchObject({ type: "response.failed" });
  });

  it("skips unknown events, and data that is not JSON", () => {
    expect(read([{ data: "[DONE]" }, { data: "nonsense" }, { data: "[]" }])).toEqual([]);
    const unknown = ["response.web_search_call.searching", "response.new_thing", "__proto__"].map((type) => ({ type }));
    expect(sent(...unknown, { type: "response.output_item.added", item: { type: "web_search_call" } })).toEqual([]);
  });

  it("has no end if the upstream breaks off or fails", () => {
    const broken = sent(created, { type: "response.output_text.delta", delta: "a" });
    expect(broken.map(({ type }) => type)).toEqual(["start", "part_start", "part_delta"]);
    const failed = { ...created.response, status: "failed", error: { code: "server_error", message: "no" } };
    expect(sent(created, { type: "response.failed", response: failed }).at(-1)).toEqual({
      type: "error",
      error: { type: "server_error", code: "server_error", message: "no" },
    });
    expect(sent({ type: "error", code: "rate_limit_exceeded", message: "slow" }, created)).toEqual([
      { type: "error", error: { type: "rate_limit_exceeded", code: "rate_limit_exceeded", message: "slow" } },
    ]);
  });
});
