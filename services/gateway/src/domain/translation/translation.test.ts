import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { answeringUpstream, breakingAfter } from "../../../test/fake-upstream.ts";
import { BODY, MICRO, pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { CHUNKS, COMPLETION, COST, dataOf } from "../../../test/relayed-answer.ts";
import { message, MESSAGE_BODY, messageStream, textBlock } from "../../../test/sample-messages.ts";
import { RESPONSE_BODY } from "../../../test/sample-responses.ts";
import type { Refusal } from "../errors/refusal.ts";
import type { UpstreamAnswer, UpstreamRequest } from "../ports/upstream.ts";
import { createModelDirectory, type Model } from "../request/model-directory.ts";
import type { Wire } from "../wires/wire.ts";
import type { WireName } from "../wires/wire-name.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { MESSAGES } from "../wires/messages/messages-wire.ts";
import { RESPONSES } from "../wires/responses/responses-wire.ts";

const MODEL: Model = {
  provider: "echo",
  id: "up-1",
  prices: [{ aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } }],
  priceVersion: "file:1",
  outputField: "max_tokens",
};

interface Served {
  readonly client: Wire;
  readonly upstream: WireName;
  readonly body: object;
  readonly type?: string;
  readonly parts: readonly string[];
  readonly more?: Partial<UpstreamAnswer>;
  readonly redacts?: string;
  readonly model?: Partial<Model>;
}

/** Serves a request of one wire by an upstream of another. */
async function served({ client, upstream, body, type = "application/json", parts, more = {}, redacts, model }: Served) {
  const requests: UpstreamRequest[] = [];
  const answering = answeringUpstream(type, parts, more);
  const recording = {
    ...answering,
    async send(request: UpstreamRequest) {
      requests.push(request);
      return answering.send(request);
    },
  };
  const specs = redacts === undefined ? [] : [{ contentPatterns: [pattern(redacts)] }];
  const { serve, usage, budget, sent } = pipelineUnderTest({
    upstream: recording,
    wire: client,
    guardrails: fakeGuardrailDirectory(specs),
    overrides: {
      directory: createModelDirectory([{ ...MODEL, wires: new Set([upstream]), ...model }]),
      upstreams: new Map([["echo", recording]]),
    },
  });
  const { reply, refusal } = await serve({ ...body, model: "up-1" });
  const [request] = requests;
  const sentText = request === undefined ? undefined : textOf(request.body);
  const sentBody = sentText === undefined ? undefined : (JSON.parse(sentText) as unknown);
  return {
    reply,
    refusal,
    sent,
    wire: request?.wire,
    sentBody,
    sentText,
    settlement: usage.settlements[0],
    spentNano: budget.spentNano,
  };
}

function textOf(body: UpstreamRequest["body"]): string {
  if (typeof body === "string") return body;
  return Buffer.concat(body instanceof Uint8Array ? [body] : body).toString("utf8");
}

const pattern = (text: string) => ({
  name: "word",
  pattern: text,
  action: "redact" as const,
  appliesTo: "both" as const,
});
const STREAM_TYPE = "text/event-stream";
const MESSAGE = JSON.stringify(message([{ type: "text", text: "hello" }]));
/** Cost of the usage of the sample message. */
const MESSAGE_COST = 13n * MICRO;

describe("a chat completion of an upstream that speaks messages", () => {
  const chat = { client: CHAT, upstream: "messages" } as const;

  it("is requested and answered in each side's wire, and charged exactly", async () => {
    const { wire, sentBody, reply, settlement, spentNano } = await served({ ...chat, body: BODY, parts: [MESSAGE] });
    expect(wire).toBe("messages");
    expect(sentBody).toMatchObject({ model: "up-1", max_tokens: 3, messages: [{ role: "user" }] });
    expect(JSON.parse(reply.text)).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { content: "hello" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 5 },
    });
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false, outcome: "succeeded" });
    expect(spentNano).toBe(MESSAGE_COST);
  });

  it("streams, however the events arrive, without the usage that its client did not ask for", async () => {
    const stream = messageStream(textBlock(0, "hel", "lo"));
    for (const parts of [[stream], stream.match(/[^]{1,5}/g) ?? []]) {
      const body = { ...BODY, stream: true };
      const { reply, settlement } = await served({ ...chat, body, type: STREAM_TYPE, parts });
      const data = dataOf(reply.text);
      expect(data.at(-1)).toBe("[DONE]");
      const chunks = data
        .slice(0, -1)
        .map((each) => JSON.parse(each) as { choices: { delta: { content?: string } }[] });
      expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("hello");
      expect(chunks.every(({ choices }) => choices.length === 1)).toBe(true);
      expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false });
    }
  });

  it("keeps the parts of the input that have prices of their own", async () => {
    const usage = { input_tokens: 3, output_tokens: 5, cache_read_input_tokens: 20, cache_creation_input_tokens: 10 };
    const { settlement } = await served({ ...chat, body: BODY, parts: [JSON.stringify(message([], { usage }))] });
    expect(settlement).toMatchObject({ promptTokens: 33, cachedPromptTokens: 20, cacheWriteTokens: 10 });
  });

  it("names what is left out, and is refused for what cannot be carried, before anything is reserved", async () => {
    const { reply, sentBody } = await served({ ...chat, body: { ...BODY, seed: 7, user: "u" }, parts: [MESSAGE] });
    expect(reply.headers["x-routeplane-dropped"]).toContain("seed");
    expect(sentBody).not.toHaveProperty("seed");
    const refused = await served({ ...chat, body: { ...BODY, logit_bias: { 1: 5 } }, parts: [MESSAGE] });
    expect(refused.refusal).toMatchObject({ status: 400, code: "not_translatable", param: "logit_bias" });
    expect(refused.wire).toBeUndefined();
    expect(refused.spentNano).toBe(0n);
    expect((await served({ ...chat, body: { ...BODY, n: 2 }, parts: [MESSAGE] })).refusal).toMatchObject({
      param: "n",
    });
  });

  it("says nothing about reasoning to a model that does not reason, and names what it leaves out", async () => {
    const reasoned = { ...chat, body: { ...BODY, max_tokens: 3_000, reasoning_effort: "low" }, parts: [MESSAGE] };
    const { reply, sentBody } = await served({ ...reasoned, model: { capabilities: { reasoning: false } } });
    expect(reply.headers["x-routeplane-dropped"]).toContain("reasoning_effort");
    expect(sentBody).not.toHaveProperty("thinking");
    const unknown = await served(reasoned);
    expect(unknown.sentBody).toHaveProperty("thinking");
    expect(unknown.reply.headers).not.toHaveProperty("x-routeplane-dropped");
  });

  it("keeps every byte of a large body, whose work is done in several turns", async () => {
    const data = "iVBORw0K".repeat(300_000);
    const text = 'é"\n\u{1F600}'.repeat(50_000);
    const url = `data:image/png;base64,${data}`;
    const content = [
      { type: "image_url", image_url: { url } },
      { type: "text", text },
    ];
    const call = { id: "c", type: "function", function: { name: "f", arguments: '{"n":12345678901234567890}' } };
    const messages = [
      { role: "user", content },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c", content: "1" },
    ];
    const { sentText, refusal } = await served({ ...chat, body: { ...BODY, messages }, parts: [MESSAGE] });
    expect(refusal).toBeUndefined();
    const sent = JSON.parse(sentText ?? "") as { messages: { content: { text?: string; source?: object }[] }[] };
    const [image, written] = sent.messages[0]?.content ?? [];
    expect(image?.source).toMatchObject({ type: "base64", media_type: "image/png" });
    expect(JSON.stringify(image?.source).includes(data)).toBe(true);
    expect(written?.text === text).toBe(true);
    expect(sentText?.includes('"n":12345678901234567890')).toBe(true);
  });

  it("is guarded in the wire of its client, on both ways, in a stream too", async () => {
    const body = { ...BODY, messages: [{ role: "user", content: "a secret" }] };
    const whole = JSON.stringify(message([{ type: "text", text: "the secret" }]));
    const { sentBody, reply } = await served({ ...chat, body, parts: [whole], redacts: "secret" });
    expect(JSON.stringify(sentBody)).toContain("a [REDACTED]");
    expect(reply.text).toContain("the [REDACTED]");
    const stream = messageStream(textBlock(0, "the sec", "ret"));
    const streamed = {
      ...chat,
      body: { ...body, stream: true },
      type: STREAM_TYPE,
      parts: [stream],
      redacts: "secret",
    };
    const { reply: events } = await served(streamed);
    expect(events.text).not.toContain("ret");
    expect(events.text).toContain("[REDACTED]");
  });

  it("gets errors of the upstream in its own envelope, whole, in a stream and instead of one", async () => {
    const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    const whole = await served({ ...chat, body: BODY, parts: [JSON.stringify(error)], more: { status: 529 } });
    expect(whole.refusal).toMatchObject({ code: "upstream_overloaded" });
    const head = messageStream(textBlock(0, "hi")).split("event: message_delta")[0] ?? "";
    const parts = [`${head}event: error\ndata: ${JSON.stringify(error)}\n\n`];
    const { reply, settlement } = await served({ ...chat, body: { ...BODY, stream: true }, type: STREAM_TYPE, parts });
    expect(dataOf(reply.text).at(-1)).toMatch(/^\{"error":\{"message":".*Overloaded/);
    expect(settlement).toMatchObject({ outcome: "failed" });
  });

  it("that breaks off is not ended as if it were whole", async () => {
    const head = messageStream(textBlock(0, "hi there")).split("event: message_delta")[0] ?? "";
    const broken = { ...chat, body: { ...BODY, stream: true }, type: STREAM_TYPE, parts: [] };
    const { reply, settlement } = await served({ ...broken, more: { body: breakingAfter(head) } });
    expect(reply.text).not.toContain("[DONE]");
    expect(reply.text).not.toContain('"finish_reason":"stop"');
    expect(settlement).toMatchObject({ outcome: "failed", estimated: true });
  });

  it("is whole for a client that asked for a stream of an upstream that answers whole, and the reverse", async () => {
    const { reply } = await served({ ...chat, body: { ...BODY, stream: true }, parts: [MESSAGE] });
    expect(dataOf(reply.text).at(-1)).toBe("[DONE]");
    const stream = messageStream(textBlock(0, "hel", "lo"));
    const { reply: whole } = await served({ ...chat, body: BODY, type: STREAM_TYPE, parts: [stream] });
    expect(JSON.parse(whole.text)).toMatchObject({ choices: [{ message: { content: "hello" } }] });
  });

  const deep = `{"type":"message","content":${"[".repeat(100)}${"]".repeat(100)}}`;

  it.each(["[]", "{", '{"type":"message"}', "<html>", '"text"', deep])(
    "is refused for the answer %s",
    async (answer) => {
      const { refusal } = await served({ ...chat, body: BODY, parts: [answer] });
      expect(refusal).toMatchObject({ status: 502 });
    },
  );
});

describe("a translated answer", () => {
  const cutOff = {
    id: "c",
    object: "chat.completion",
    model: "up-1",
    choices: [{ index: 0, message: { role: "assistant", content: "" }, finish_reason: "length" }],
  };
  const chunk = (choices: object[], more: object = {}) =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "up-1", choices, ...more })}\n\n`;
  const cutOffStream = [
    chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]),
    chunk([{ index: 0, delta: {}, finish_reason: "length" }]),
    "data: [DONE]\n\n",
  ];

  it.each([
    ["whole", false],
    ["streamed", true],
  ])("without usage, %s, is estimated as one that passes is: never free, never exact", async (_, streamed) => {
    const parts = streamed ? cutOffStream : [JSON.stringify(cutOff)];
    const type = streamed ? STREAM_TYPE : "application/json";
    const native = await served({ client: CHAT, upstream: "chat", body: { ...BODY, stream: streamed }, type, parts });
    const translated = await served({
      client: MESSAGES,
      upstream: "chat",
      body: { ...MESSAGE_BODY, stream: streamed },
      type,
      parts,
    });
    expect(native.settlement).toMatchObject({ estimated: true });
    expect(translated.settlement).toMatchObject({ estimated: true, outcome: "succeeded" });
    expect(translated.settlement?.promptTokens).toBeGreaterThan(3);
    expect(translated.spentNano).toBeGreaterThan(0n);
  });

  it.each<[string, object]>([
    ["reasoning beside the completion", { prompt_tokens: 10, completion_tokens: 1000, thoughtsTokenCount: 100 }],
    ["the input alone", { prompt_tokens: 10 }],
    ["a total that contradicts the counts", { prompt_tokens: 100, completion_tokens: 20, total_tokens: 9_999 }],
    ["the names of another dialect", { prompt_token_count: 7, candidates_token_count: 4 }],
    ["placeholders", { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }],
  ])("that reports %s is metered as one that passes", async (_, usage) => {
    const whole = JSON.stringify({ ...COMPLETION, usage });
    const limits = { max_tokens: 5_000 };
    const native = await served({ client: CHAT, upstream: "chat", body: { ...BODY, ...limits }, parts: [whole] });
    const translated = await served({
      client: MESSAGES,
      upstream: "chat",
      body: { ...MESSAGE_BODY, ...limits },
      parts: [whole],
    });
    const { promptTokens, completionTokens, estimated } = native.settlement ?? {};
    // An estimate depends on the time that an answer took, and on the request.
    const counts = estimated === true ? {} : { promptTokens, completionTokens };
    expect(translated.settlement).toMatchObject({ estimated, ...counts });
    expect(translated.spentNano).toBeGreaterThan(0n);
  });

  it("is charged exactly if its upstream goes on after the end", async () => {
    const stream = messageStream(textBlock(0, "hello")) + textBlock(1, "more");
    const body = { ...BODY, stream: true };
    const { settlement } = await served({
      client: CHAT,
      upstream: "messages",
      body,
      type: STREAM_TYPE,
      parts: [stream],
    });
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false });
  });

  it("is priced by the service tier that its upstream reports with the usage", async () => {
    const parts = [
      ...CHUNKS.slice(0, 4),
      chunk([], { usage: { prompt_tokens: 3, completion_tokens: 1 }, service_tier: "priority" }),
      "data: [DONE]\n\n",
    ];
    const native = await served({
      client: CHAT,
      upstream: "chat",
      body: { ...BODY, stream: true },
      type: STREAM_TYPE,
      parts,
    });
    const translated = await served({
      client: MESSAGES,
      upstream: "chat",
      body: { ...MESSAGE_BODY, stream: true },
      type: STREAM_TYPE,
      parts,
    });
    expect(native.settlement).toMatchObject({ serviceTier: "priority" });
    expect(translated.settlement).toMatchObject({ serviceTier: "priority", estimated: native.settlement?.estimated });
  });
});

describe("an error in a stream that is translated", () => {
  const failed = { type: "response.failed", response: { error: { code: "rate_limit_exceeded", message: "slow" } } };
  const FORMS: readonly (readonly [string, WireName, string])[] = [
    ["a text", "chat", 'data: {"error":"the model is overloaded"}\n\n'],
    ["a list", "chat", 'data: [{"error":{"message":"slow down","code":429}}]\n\n'],
    ["a code that is a number", "chat", 'data: {"error":{"message":"slow down","code":429}}\n\n'],
    ["an event of that name", "chat", 'event: error\ndata: {"message":"slow down","code":"rate_limit_exceeded"}\n\n'],
    ["an error of a choice", "chat", 'data: {"choices":[{"error":{"message":"gone","code":503}}]}\n\n'],
    [
      "an event of messages",
      "messages",
      'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error"}}\n\n',
    ],
    ["a response that failed", "responses", `event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`],
  ];
  const CLIENTS = new Map<Wire, object>([
    [CHAT, BODY],
    [MESSAGES, MESSAGE_BODY],
    [RESPONSES, RESPONSE_BODY],
  ]);
  const cases = FORMS.flatMap(([form, upstream, event]) => {
    const clients = [...CLIENTS].filter(([{ name }]) => name !== upstream);
    return clients.map(([client, body]) => [form, client.name, { client, body, upstream, event }] as const);
  });

  it.each(cases)("means what it means untranslated: %s, for a client of %s", async (_, __, each) => {
    const { client, body, upstream, event } = each;
    const native = [...CLIENTS].find(([{ name }]) => name === upstream);
    const stream = { upstream, type: STREAM_TYPE, parts: [event] };
    const wanted = await served({ ...stream, client: native?.[0] ?? CHAT, body: { ...native?.[1], stream: true } });
    const { refusal, settlement, spentNano } = await served({ ...stream, client, body: { ...body, stream: true } });
    const meaning = ({ status, code, message: text, retryable }: Partial<Refusal> = {}) => [
      status,
      code,
      text,
      retryable,
    ];
    expect(meaning(refusal)).toEqual(meaning(wanted.refusal));
    expect(refusal).toBeDefined();
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: wanted.settlement?.errorCode });
    // It came before any answer, so the upstream has not worked for it.
    expect([wanted.spentNano, spentNano]).toEqual([0n, 0n]);
  });

  it.each([
    [MESSAGES, MESSAGE_BODY, /text_delta[^]*event: error\ndata: [^\n]*answer failed[^\n]*\n\n$/],
    [RESPONSES, RESPONSE_BODY, /output_text\.delta[^]*event: error\ndata: [^\n]*answer failed[^\n]*\n\n$/],
  ])(
    "is what a choice with the finish reason 'error' ends with, and its usage is charged",
    async (client, body, end) => {
      const finished = (content: string, reason: string | null) =>
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] })}\n\n`;
      const usage = 'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n';
      const parts = [finished("partial", null), finished("", "error"), usage, "data: [DONE]\n\n"];
      const stream = { client, upstream: "chat", body: { ...body, stream: true }, type: STREAM_TYPE, parts } as const;
      const { reply, settlement } = await served(stream);
      expect(reply.text).toMatch(end);
      expect(reply.text).not.toMatch(/message_stop|response\.completed/);
      expect(settlement).toMatchObject({ outcome: "failed", promptTokens: 3, completionTokens: 2, estimated: false });
    },
  );

  it("is recorded for a whole answer that failed, whose text the client gets without a stop reason", async () => {
    const message = { role: "assistant", content: "partial" };
    const failed = { ...COMPLETION, choices: [{ index: 0, message, finish_reason: "error" }] };
    const whole = { client: MESSAGES, upstream: "chat", body: MESSAGE_BODY, parts: [JSON.stringify(failed)] } as const;
    const { reply, settlement, spentNano } = await served(whole);
    expect(JSON.parse(reply.text)).toMatchObject({ content: [{ text: "partial" }], stop_reason: null });
    expect(settlement).toMatchObject({ outcome: "failed", errorCode: "upstream_error", estimated: false });
    expect(spentNano).toBe(COST);
  });

  it("comes after the text and the usage before it, which is charged", async () => {
    const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } };
    const parts = [...CHUNKS.slice(0, 2), `data: ${JSON.stringify(usage)}\n\n`, 'data: {"error":"broke"}\n\n'];
    const body = { ...MESSAGE_BODY, stream: true };
    const { reply, settlement } = await served({ client: MESSAGES, upstream: "chat", body, type: STREAM_TYPE, parts });
    expect(reply.text).toMatch(/text_delta[^]*"output_tokens":2[^]*event: error\ndata: \{[^\n]*broke[^\n]*\n\n$/);
    expect(settlement).toMatchObject({ outcome: "failed", promptTokens: 3, estimated: true });
  });
});

describe("a message of an upstream that speaks chat completions", () => {
  const messages = { client: MESSAGES, upstream: "chat" } as const;

  it("is requested and answered in each side's wire, and charged exactly", async () => {
    const parts = [JSON.stringify(COMPLETION)];
    const { wire, sentBody, reply, settlement, spentNano } = await served({ ...messages, body: MESSAGE_BODY, parts });
    expect(wire).toBe("chat");
    expect(sentBody).toMatchObject({ model: "up-1", max_tokens: 50, messages: [{ role: "user" }] });
    expect(JSON.parse(reply.text)).toMatchObject({
      type: "message",
      content: [{ type: "text", text: "hello" }],
      stop_reason: "end_turn",
      usage: { input_tokens: 3, output_tokens: 1 },
    });
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 1, estimated: false });
    expect(spentNano).toBe(COST);
  });

  it("streams, and asks its upstream for the usage", async () => {
    const body = { ...MESSAGE_BODY, stream: true };
    const { reply, sentBody, settlement } = await served({ ...messages, body, type: STREAM_TYPE, parts: CHUNKS });
    expect(sentBody).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    expect(reply.text).toMatch(/^event: message_start\n[^]*event: message_stop\ndata: .*\n\n$/);
    const texts = dataOf(reply.text).flatMap((data) => /"text_delta","text":"(.*?)"/.exec(data)?.[1] ?? []);
    expect(texts.join("")).toBe("hello");
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 1, estimated: false, outcome: "succeeded" });
  });

  it("ends with an error event in its own form if the upstream breaks off", async () => {
    const broken = { ...messages, body: { ...MESSAGE_BODY, stream: true }, type: STREAM_TYPE, parts: [] };
    const { reply } = await served({ ...broken, more: { body: breakingAfter(CHUNKS.slice(0, 3).join("")) } });
    expect(reply.text).toMatch(/event: error\ndata: \{"type":"error".*\n\n$/);
    expect(reply.text).not.toContain("message_stop");
  });
});
