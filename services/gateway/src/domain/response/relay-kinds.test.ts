import { describe, expect, it } from "vitest";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { BODY, MICRO, reservationOf, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";

/** Answers whose bytes are of another kind than was asked for, than their label says, or than their status says. */

const STREAM = { ...BODY, stream: true };
const BOM = "\u{FEFF}";
const USAGE = { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 };
const COST = 5n * MICRO;
const DONE = "data: [DONE]\n\n";

const event = (chunk: object | string): string =>
  `data: ${typeof chunk === "string" ? chunk : JSON.stringify(chunk)}\n\n`;
const HEAD = { id: "c-1", created: 7, model: "echo" };
const COMPLETION = {
  ...HEAD,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "hello", refusal: null }, finish_reason: "stop" }],
  usage: USAGE,
};
const chunk = (delta: object, finish_reason: string | null = null) => ({
  ...HEAD,
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason }],
});
const CHUNKS = [
  event(chunk({ role: "assistant", content: "" })),
  event(chunk({ content: "hel" })),
  event(chunk({ content: "lo" })),
  event(chunk({}, "stop")),
  event({ ...HEAD, object: "chat.completion.chunk", choices: [], usage: USAGE }),
  DONE,
];

interface Sent {
  readonly body?: object;
  readonly type?: string;
  readonly parts: readonly string[];
  readonly guardrails?: ReturnType<typeof fakeGuardrailDirectory>;
}

async function serve({ body = BODY, type = "application/json", parts, guardrails }: Sent) {
  const upstream = answeringUpstream(type, parts);
  const served = pipelineUnderTest({ upstream, ...(guardrails && { guardrails }) });
  const { reply, refusal } = await served.serve(body);
  const [settlement] = served.usage.settlements;
  return { reply, refusal, settlement, spentNano: served.budget.spentNano };
}

const dataOf = (text: string): readonly string[] =>
  Array.from(text.matchAll(/^data: (.*)$/gm), ([, data = ""]) => data);
const chunksOf = (text: string) =>
  dataOf(text)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data) as Record<string, unknown>);

describe("an error with a status of success", () => {
  const error = { error: { message: "the model is gone", type: "t", param: "model", code: 404 } };

  it.each<[string, object, string, string]>([
    ["an object", BODY, "application/json", JSON.stringify(error)],
    ["a list", BODY, "application/json", JSON.stringify([error])],
    ["beside choices that are null", BODY, "application/json", JSON.stringify({ ...error, choices: null })],
    ["beside no choices", BODY, "application/json", JSON.stringify({ ...error, choices: [] })],
    [
      "in a choice",
      BODY,
      "application/json",
      JSON.stringify({ choices: [{ index: 0, ...error, message: { content: "" } }] }),
    ],
    ["with a byte order mark", BODY, "text/plain", BOM + JSON.stringify(error)],
    ["the first event of a stream", STREAM, "text/event-stream", event(error)],
    ["the first event, named so", STREAM, "text/event-stream", `event: error\n${event(error.error)}`],
    [
      "the first event behind comments",
      STREAM,
      "text/event-stream",
      `: thinking\n\n: thinking\n\n${event(error)}${DONE}`,
    ],
    ["the first event, a list", STREAM, "text/event-stream", event([error] as object)],
    ["JSON where a stream was asked for", STREAM, "application/json", JSON.stringify(error)],
    ["JSON that is labelled as a stream", STREAM, "text/event-stream", JSON.stringify(error)],
    ["a stream where none was asked for", BODY, "text/event-stream", event(error)],
  ])("is an error in its own words and status, free, and not tried again: %s", async (_, body, type, text) => {
    const { reply, refusal, settlement, spentNano } = await serve({ body, type, parts: [text] });
    expect(refusal).toMatchObject({
      status: 404,
      message: "the model is gone",
      code: "404",
      param: "model",
      retryable: false,
    });
    expect(reply.begun).toBe(false);
    expect(spentNano).toBe(0n);
    expect(settlement).toMatchObject({
      outcome: "failed",
      httpStatus: 404,
      errorCode: "404",
      upstreamError: "the model is gone (404)",
    });
    expect(settlement).toMatchObject({ upstreamStatus: 200, estimated: false });
  });

  it("is charged the usage that it reports", async () => {
    for (const sent of [
      { parts: [JSON.stringify({ ...error, usage: USAGE })] },
      { body: STREAM, type: "text/event-stream", parts: [event({ ...error, usage: USAGE })] },
    ]) {
      const { settlement, spentNano } = await serve(sent);
      expect(spentNano).toBe(COST);
      expect(settlement).toMatchObject({ outcome: "failed", estimated: false, promptTokens: 3 });
    }
  });

  it.each([
    [
      "a problem document",
      "application/problem+json",
      { title: "Too large", status: 413, detail: "by far" },
      413,
      "Too large: by far",
    ],
    ["a message with a code", "application/json", { message: "no", code: "context_length_exceeded" }, 400, "no"],
    ["a FastAPI detail", "application/json", { detail: [{ loc: ["body", "n"], msg: "large" }] }, 502, "n: large"],
    ["an error of vLLM", "application/json", { object: "error", message: "no", type: "BadRequestError" }, 400, "no"],
    [
      "an error without words",
      "application/json",
      { success: false },
      502,
      "the upstream answered with an error that it does not explain",
    ],
  ])("may be %s", async (_, type, json, status, message) => {
    for (const body of [BODY, STREAM]) {
      const { refusal } = await serve({ body, type, parts: [JSON.stringify(json)] });
      expect(refusal).toMatchObject({ status, message, retryable: false });
    }
  });

  it("is not seen in an answer that has choices, nor in text about errors", async () => {
    const about = {
      ...COMPLETION,
      error: null,
      choices: [{ ...COMPLETION.choices[0], message: { content: '{"error":{"code":1}}' } }],
    };
    const { reply, settlement } = await serve({ parts: [JSON.stringify(about)] });
    expect(reply.text).toBe(JSON.stringify(about));
    expect(settlement).toMatchObject({ outcome: "succeeded" });
    const quoted = event(chunk({ content: '{"error":{"code":1}}' }));
    const streamed = await serve({ body: STREAM, type: "text/event-stream", parts: [quoted, ...CHUNKS] });
    expect(streamed.settlement).toMatchObject({ outcome: "succeeded" });
    expect(streamed.reply.text).toContain(quoted);
  });

  it("has words that the guardrails judge, because they may quote the model", async () => {
    const guardrails = () =>
      fakeGuardrailDirectory([
        { contentPatterns: [{ name: "s", pattern: "gone", action: "redact", appliesTo: "response" }] },
      ]);
    for (const sent of [
      { parts: [JSON.stringify(error)] },
      { body: STREAM, type: "text/event-stream", parts: [event(error)] },
    ]) {
      const { refusal } = await serve({ ...sent, guardrails: guardrails() });
      expect(refusal).toMatchObject({ status: 404, message: "the model is [REDACTED]" });
    }
  });
});

describe("an error in the middle of a stream", () => {
  it.each<[string, string]>([
    ["an object", event({ error: { message: "out of memory", code: 507 } })],
    ["a list", event([{ error: { message: "out of memory", code: 507 } }] as object)],
    ["a named event", `event: error\n${event({ message: "out of memory", code: 507 })}`],
    ["beside a choice", event({ ...chunk({ content: "" }, "error"), error: { message: "out of memory", code: 507 } })],
  ])("is the last event in its own words, and the row has its code: %s", async (_, failed) => {
    const { reply, settlement } = await serve({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), failed, event(chunk({ content: "more" })), DONE],
    });
    expect(reply.status).toBe(200);
    const last = JSON.parse(dataOf(reply.text).at(-1) ?? "") as object;
    expect(last).toMatchObject({ error: { message: "out of memory", code: "507" } });
    expect(reply.text).not.toContain("more");
    expect(reply.text).not.toContain("[DONE]");
    expect(reply.ended).toBe(true);
    expect(settlement).toMatchObject({
      outcome: "failed",
      httpStatus: 200,
      errorCode: "507",
      upstreamError: "out of memory (507)",
    });
    expect(settlement?.costNanoUsd).toBeGreaterThan(0n);
  });

  it("is not passed on in words that concern the operator", async () => {
    const quota = event({ error: { message: "org-Ab12345678 has no credit", code: "insufficient_quota" } });
    const { reply, settlement } = await serve({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 2), quota],
    });
    expect(reply.text).toContain('"code":"upstream_quota_exhausted"');
    expect(reply.text).not.toMatch(/org-|credit"/);
    expect(settlement).toMatchObject({ errorCode: "upstream_quota_exhausted" });
    expect(settlement?.upstreamError).toMatch(/^\[redacted\] has no credit/);
  });

  it("makes a stream that was finished by then no success", async () => {
    const failed = event({ error: { message: "late", code: "c" } });
    const { reply, settlement } = await serve({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 5), failed],
    });
    expect(reply.text).toContain('"message":"late"');
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "c", estimated: false, costNanoUsd: COST });
  });

  it("by the finish reason alone is no success either", async () => {
    const { settlement } = await serve({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), event(chunk({}, "error")), DONE],
    });
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "upstream_error" });
    const filtered = await serve({
      body: STREAM,
      type: "text/event-stream",
      parts: [...CHUNKS.slice(0, 3), event(chunk({}, "content_filter")), DONE],
    });
    expect(filtered.settlement).toMatchObject({ outcome: "succeeded" });
  });
});

describe("a whole answer where a stream was asked for", () => {
  const calls = [
    { id: "t1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
    { id: "t2", type: "function", function: { name: "g", arguments: "{}" } },
  ];

  it("leaves as chunks, and is charged and recorded as it is", async () => {
    const { reply, settlement } = await serve({ body: STREAM, parts: [JSON.stringify(COMPLETION)] });
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
    const { reply } = await serve({ body, parts: [JSON.stringify(COMPLETION)] });
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
    const { reply } = await serve({ body: { ...STREAM, n: 2 }, parts: [JSON.stringify({ ...COMPLETION, choices })] });
    const deltas = chunksOf(reply.text).map(
      ({ choices }) => (choices as { delta: object; finish_reason: unknown }[])[0],
    );
    expect(deltas).toMatchObject([
      {
        delta: { reasoning_content: "hm", tool_calls: calls.map((call, index) => ({ index, ...call })) },
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
    const redacted = await serve({ body: STREAM, parts: [JSON.stringify(COMPLETION)], guardrails: redacting });
    expect(redacted.reply.text).toContain("[REDACTED]");
    expect(redacted.reply.text).not.toContain("hello");
    const blocking = fakeGuardrailDirectory([
      { contentPatterns: [{ name: "s", pattern: "hello", action: "block", appliesTo: "response" }] },
    ]);
    const blocked = await serve({ body: STREAM, parts: [JSON.stringify(COMPLETION)], guardrails: blocking });
    expect(blocked.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(blocked.reply.text).toBe("");
    expect(blocked.settlement).toMatchObject({ outcome: "failed", costNanoUsd: COST });
  });
});

describe("a stream where none was asked for", () => {
  it("is served as the whole answer that it makes up, and charged by its usage", async () => {
    for (const parts of [CHUNKS, CHUNKS.slice(0, 5)]) {
      const { reply, settlement } = await serve({ type: "text/event-stream", parts });
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
    const { reply } = await serve({ body: { ...BODY, n: 2 }, type: "text/event-stream", parts });
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

  it("is judged by the guardrails as a whole answer is", async () => {
    const guardrails = fakeGuardrailDirectory([
      { contentPatterns: [{ name: "s", pattern: "hello", action: "redact", appliesTo: "response" }] },
    ]);
    const { reply } = await serve({ type: "text/event-stream", parts: CHUNKS, guardrails });
    expect(JSON.parse(reply.text)).toMatchObject({ choices: [{ message: { content: "[REDACTED]" } }] });
  });

  it("that breaks off is 502, and charged by its final usage, else as reserved", async () => {
    const { refusal, spentNano } = await serve({ type: "text/event-stream", parts: CHUNKS.slice(0, 3) });
    expect(refusal).toMatchObject({ status: 502, code: "upstream_error" });
    expect(spentNano).toBe(reservationOf(BODY));
  });

  it("cannot set what every object has", async () => {
    const evil = `data: {"__proto__":{"a":1},"choices":[{"index":0,"delta":{"__proto__":{"b":1},"content":"x"},"finish_reason":"stop"}]}\n\n`;
    const { reply } = await serve({ type: "text/event-stream", parts: [evil, DONE] });
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
        const { reply, settlement } = await serve({
          body: { ...STREAM, stream_options: { include_usage: true } },
          type,
          parts: [...text],
        });
        expect(reply.text).toBe(text.replace(BOM, ""));
        expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false, costNanoUsd: COST });
      }
    },
  );

  it.each(labels)("as '%s', and is JSON by its first bytes, passes as that, without its mark", async (type) => {
    for (const mark of ["", BOM, "\n \r\n"]) {
      const text = JSON.stringify(COMPLETION);
      const { reply, settlement } = await serve({ type, parts: [...(mark + text)] });
      expect(reply.text).toBe(mark === BOM ? text : mark + text);
      expect(settlement).toMatchObject({ outcome: "succeeded", costNanoUsd: COST });
    }
  });

  it("and is neither is 502, whatever was asked for", async () => {
    for (const body of [BODY, STREAM]) {
      const { refusal } = await serve({ body, type: "text/html", parts: ["<html>"] });
      expect(refusal).toMatchObject({ status: 502, code: "upstream_invalid_response" });
    }
  });
});
