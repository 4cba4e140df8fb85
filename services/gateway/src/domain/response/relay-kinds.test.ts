import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { BODY } from "../../../test/pipeline-under-test.ts";
import {
  BOM,
  CHUNKS,
  COMPLETION,
  COST,
  dataOf,
  DONE,
  event,
  HEAD,
  relayed,
  STREAM,
  USAGE,
} from "../../../test/relayed-answer.ts";

/** Answers whose bytes are of another kind than was asked for, or than their label says. */

const chunksOf = (text: string) =>
  dataOf(text)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data) as Record<string, unknown>);

describe("a whole answer where a stream was asked for", () => {
  const calls = [
    { id: "t1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
    { id: "t2", type: "function", function: { name: "g", arguments: "{}" } },
  ];

  it("leaves as chunks, and is charged and recorded as it is", async () => {
    const { reply, settlement } = await relayed({ body: STREAM, parts: [JSON.stringify(COMPLETION)] });
    expect(reply.headers).toMatchObject({ "content-type": "text/event-stream" });
    expect(dataOf(reply.text).at(-1)).toBe("[DONE]");
    const chunks = chunksOf(reply.text);
    expect(chunks).toEqual([
      {
        ...HEAD,
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta: { role: "assistant", content: "hello" }, logprobs: null, finish_reason: null }],
      },
      { ...HEAD, object: "chat.completion.chunk", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
    ]);
    expect(settlement).toMatchObject({ outcome: "succeeded", httpStatus: 200, estimated: false, costNanoUsd: COST });
    expect(settlement?.firstTokenMs).toBeDefined();
  });

  it("has its usage in a last chunk if the client asked for that", async () => {
    const body = { ...STREAM, stream_options: { include_usage: true } };
    const { reply } = await relayed({ body, parts: [JSON.stringify(COMPLETION)] });
    expect(chunksOf(reply.text).at(-1)).toMatchObject({ choices: [], usage: USAGE });
  });

  it("keeps tool calls, refusals, reasoning, and every choice", async () => {
    const choices = [
      {
        index: 0,
        message: { role: "assistant", content: null, reasoning_content: "hm", tool_calls: calls },
        finish_reason: "tool_calls",
      },
      { index: 1, message: { role: "assistant", content: null, refusal: "no" }, finish_reason: "stop" },
    ];
    const { reply } = await relayed({ body: { ...STREAM, n: 2 }, parts: [JSON.stringify({ ...COMPLETION, choices })] });
    const deltas = chunksOf(reply.text).map(
      ({ choices }) => (choices as { delta: object; finish_reason: unknown }[])[0],
    );
    expect(deltas).toMatchObject([
      {
        delta: { reasoning_content: "hm", tool_calls: [{ index: 0 }, { index: 1 }] },
        finish_reason: null,
      },
      { finish_reason: "tool_calls" },
      { delta: { refusal: "no" }, finish_reason: null },
      { finish_reason: "stop" },
    ]);
  });

  it("is judged by the guardrails as a stream is", async () => {
    const redacting = fakeGuardrailDirectory([
      { contentPatterns: [{ name: "s", pattern: "hello", action: "redact", appliesTo: "response" }] },
    ]);
    const redacted = await relayed({ body: STREAM, parts: [JSON.stringify(COMPLETION)], guardrails: redacting });
    expect(redacted.reply.text).toContain("[REDACTED]");
    expect(redacted.reply.text).not.toContain("hello");
    const blocking = fakeGuardrailDirectory([
      { contentPatterns: [{ name: "s", pattern: "hello", action: "block", appliesTo: "response" }] },
    ]);
    const blocked = await relayed({ body: STREAM, parts: [JSON.stringify(COMPLETION)], guardrails: blocking });
    expect(blocked.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(blocked.reply.text).toBe("");
    expect(blocked.settlement).toMatchObject({ outcome: "failed", costNanoUsd: COST });
  });
});

describe("a stream that was not asked for", () => {
  it("is served as the whole answer that it makes up, and charged by its usage", async () => {
    for (const parts of [CHUNKS, CHUNKS.slice(0, 5)]) {
      const { reply, settlement } = await relayed({ type: "text/event-stream", parts });
      expect(JSON.parse(reply.text)).toEqual({
        ...HEAD,
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
        usage: USAGE,
      });
      expect(reply.headers).toMatchObject({ "content-type": "application/json" });
      expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false, costNanoUsd: COST });
    }
  });

  it("joins tool calls by their index, refusals, reasoning, and every choice", async () => {
    const of = (index: number, delta: object, finish_reason: string | null = null) =>
      event({ ...HEAD, choices: [{ index, delta, finish_reason }] });
    const call = (index: number, more: object) => ({ tool_calls: [{ index, ...more }] });
    const parts = [
      of(0, call(0, { id: "t1", type: "function", function: { name: "f", arguments: "" } })),
      of(1, { refusal: "n" }),
      of(0, call(1, { id: "t2", type: "function", function: { name: "g", arguments: '{"b"' } })),
      of(0, call(0, { function: { arguments: '{"a":1}' } })),
      of(0, { reasoning_content: "hm", ...call(1, { function: { arguments: ":2}" } }) }),
      of(1, { refusal: "o" }, "stop"),
      of(0, {}, "tool_calls"),
    ];
    const { reply } = await relayed({ body: { ...BODY, n: 2 }, type: "text/event-stream", parts });
    const { choices } = JSON.parse(reply.text) as { choices: object[] };
    expect(choices).toMatchObject([
      {
        message: {
          reasoning_content: "hm",
          tool_calls: [
            { id: "t1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { id: "t2", type: "function", function: { name: "g", arguments: '{"b":2}' } },
          ],
        },
        finish_reason: "tool_calls",
      },
      { message: { refusal: "no" }, finish_reason: "stop" },
    ]);
  });

  it("joins any number of tool calls in time that grows with their number", async () => {
    const calls = Array.from({ length: 100_000 }, (_, index) => ({ index, id: "" }));
    const delta = { content: "hello", tool_calls: calls };
    const parts = [event({ ...HEAD, choices: [{ index: 0, delta, finish_reason: "stop" }], usage: USAGE })];
    const { reply } = await relayed({ type: "text/event-stream", parts });
    const { choices } = JSON.parse(reply.text) as { choices: { message: { tool_calls: object[] } }[] };
    expect(choices[0]?.message.tool_calls).toHaveLength(calls.length);
  });

  it("is judged by the guardrails as a whole answer is", async () => {
    const guardrails = fakeGuardrailDirectory([
      { contentPatterns: [{ name: "s", pattern: "hello", action: "redact", appliesTo: "response" }] },
    ]);
    const { reply } = await relayed({ type: "text/event-stream", parts: CHUNKS, guardrails });
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ message: { content: "[REDACTED]" } }] });
  });

  it("that breaks off is 502, and charged by its final usage, else an estimate", async () => {
    const { refusal, settlement } = await relayed({ type: "text/event-stream", parts: CHUNKS.slice(0, 3) });
    expect(refusal).toMatchObject({ status: 502, code: "upstream_error" });
    expect(settlement).toMatchObject({ outcome: "failed", estimated: true });
    expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
  });

  it("cannot set members of the prototype of all objects", async () => {
    const evil = `data: {"__proto__":{"a":1},"choices":[{"index":0,"delta":{"__proto__":{"b":1},"content":"x"},"finish_reason":"stop"}]}\n\n`;
    const { reply } = await relayed({ type: "text/event-stream", parts: [evil, DONE] });
    expect(reply.text).toContain('"content":"x"');
    expect(Object.prototype).not.toHaveProperty("a");
    expect(Object.prototype).not.toHaveProperty("b");
  });
});

describe("an answer that is labelled as something else", () => {
  const labels = ["text/plain", "application/octet-stream", "", "application/json", "text/html", "text/event-stream"];
  const streams: Readonly<Record<string, string>> = {
    "data first": CHUNKS.join(""),
    "a comment first": `: hello\n\n${CHUNKS.join("")}`,
    "a named event first": `event: message\n${CHUNKS.join("")}`,
    "an id first": `id: 1\n${CHUNKS.join("")}`,
    "a retry first": `retry: 1\n\n${CHUNKS.join("")}`,
    "blank lines first": `\r\n\n${CHUNKS.join("")}`,
    "a byte order mark first": BOM + CHUNKS.join(""),
  };

  it.each(labels)(
    "as '%s', and is a stream by its first bytes, passes as one, byte for byte but for its mark",
    async (type) => {
      for (const text of Object.values(streams)) {
        const { reply, settlement } = await relayed({
          body: { ...STREAM, stream_options: { include_usage: true } },
          type,
          parts: Array.from(text),
        });
        expect(reply.text).toBe(text.replace(BOM, ""));
        expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false, costNanoUsd: COST });
      }
    },
  );

  it.each(labels)("as '%s', and is JSON by its first bytes, passes as that, without its mark", async (type) => {
    for (const mark of ["", BOM, "\n \r\n"]) {
      const text = JSON.stringify(COMPLETION);
      const { reply, settlement } = await relayed({ type, parts: Array.from(mark + text) });
      expect(reply.text).toBe(mark === BOM ? text : mark + text);
      expect(settlement).toMatchObject({ outcome: "succeeded", costNanoUsd: COST });
    }
  });

  it("and is neither is 502, whatever was asked for", async () => {
    for (const body of [BODY, STREAM]) {
      const { refusal } = await relayed({ body, type: "text/html", parts: ["<html>"] });
      expect(refusal).toMatchObject({ status: 502, code: "upstream_invalid_response" });
    }
  });
});
