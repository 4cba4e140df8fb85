import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../../test/fake-upstream.ts";
import { pipelineUnderTest } from "../../../../test/pipeline-under-test.ts";
import {
  callItem,
  type Item,
  reasoningItem,
  response,
  RESPONSE_BODY,
  responseEvent,
  responseStream,
  textItem,
} from "../../../../test/sample-responses.ts";
import { RESPONSES } from "./responses-wire.ts";

const REDACT: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "redact", appliesTo: "both" }],
};
const BLOCK: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "block", appliesTo: "both" }],
};

/** Serves a request under a guardrail. */
async function served(spec: GuardrailSpec, body: object, type: string, parts: readonly string[], mode?: "shadow") {
  const upstream = answeringUpstream(type, parts);
  const guardrails = fakeGuardrailDirectory([spec], mode);
  const { serve, sent, usage } = pipelineUnderTest({ upstream, wire: RESPONSES, guardrails });
  const { reply, refusal } = await serve(body);
  return { text: reply.text, refusal, sent, settlement: usage.settlements[0] };
}

const input = (...items: readonly object[]) => ({ ...RESPONSE_BODY, input: items });
const userParts = (...content: readonly object[]) => input({ role: "user", content });
const PLAIN = JSON.stringify(response([textItem("fine")]));

/** Requests with the word in one place each. */
const PLACES: Readonly<Record<string, object>> = {
  "the input": { ...RESPONSE_BODY, input: "a secret" },
  "the instructions": { ...RESPONSE_BODY, instructions: "a secret" },
  "the instructions and a message of the developer": {
    ...input({ role: "developer", content: "ret" }, { role: "user", content: "x" }),
    instructions: "a sec",
  },
  "a message": input({ role: "user", content: "a secret" }),
  "a part": userParts({ type: "input_text", text: "a secret" }),
  "two parts": userParts({ type: "input_text", text: "a sec" }, { type: "input_text", text: "ret" }),
  "two messages": input({ role: "user", content: "a sec" }, { role: "user", content: "ret" }),
  "an answer of before": input({ role: "assistant", content: [{ type: "output_text", text: "secret" }] }),
  "a refusal of before": input({ role: "assistant", content: [{ type: "refusal", refusal: "secret" }] }),
  "arguments of a call": input({ type: "function_call", call_id: "c1", name: "f", arguments: '{"a":"secret"}' }),
  "an escape in arguments": input({
    type: "function_call",
    call_id: "c1",
    name: "f",
    arguments: '{"a":"se\\u0063ret"}',
  }),
  "the name of a call": input({ type: "function_call", call_id: "c1", name: "secret", arguments: "{}" }),
  "the input of a custom call": input({ type: "custom_tool_call", call_id: "c1", name: "f", input: "a secret" }),
  "a result": input({ type: "function_call_output", call_id: "c1", output: "a secret" }),
  "parts of a result": input({
    type: "function_call_output",
    call_id: "c1",
    output: [
      { type: "input_text", text: "a sec" },
      { type: "input_text", text: "ret" },
    ],
  }),
  "a summary": input({ type: "reasoning", summary: [{ type: "summary_text", text: "a secret" }] }),
  "a file in base64": userParts({
    type: "input_file",
    filename: "a.txt",
    file_data: `data:text/plain;base64,${Buffer.from("the secret").toString("base64")}`,
  }),
  "the name of a file": userParts({
    type: "input_file",
    filename: "secret",
    file_data: `data:text/plain;base64,${Buffer.from("x").toString("base64")}`,
  }),
  "the address of an image": userParts({ type: "input_image", image_url: "https://a.example/secret.png" }),
  "a tool": { ...RESPONSE_BODY, tools: [{ type: "function", name: "f", description: "secret", parameters: {} }] },
  "a name in a schema": {
    ...RESPONSE_BODY,
    tools: [{ type: "function", name: "f", parameters: { properties: { secret: {} } } }],
  },
  "a format": { ...RESPONSE_BODY, text: { format: { type: "json_schema", name: "secret", schema: {} } } },
  metadata: { ...RESPONSE_BODY, metadata: { a: "secret" } },
  "a command of a tool": input({ type: "local_shell_call", call_id: "c1", action: { command: ["echo", "secret"] } }),
  "the output of a command": input({ type: "local_shell_call_output", id: "c1", output: "a secret" }),
  "an unknown member": { ...RESPONSE_BODY, x_more: { deep: ["secret"] } },
};

describe("a guardrail on a request for a response", () => {
  it.each(Object.entries(PLACES))("blocks and redacts the word in %s", async (_, body) => {
    const blocked = await served(BLOCK, body, "application/json", [PLAIN]);
    expect(blocked.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(blocked.sent).toEqual([]);
    const { sent } = await served(REDACT, body, "application/json", [PLAIN]);
    expect(sent).toHaveLength(1);
    expect(sent[0]).not.toMatch(/secret|sec"|c2VjcmV0|VjcmV0|\\u0063/);
    expect(() => JSON.parse(sent[0] ?? "")).not.toThrow();
  });

  it("keeps the arguments of a call JSON", async () => {
    const body = input({ type: "function_call", call_id: "c1", name: "f", arguments: '{"a":"secret"}' });
    const { sent } = await served(REDACT, body, "application/json", [PLAIN]);
    const [item] = (JSON.parse(sent[0] ?? "") as { input: { arguments: string }[] }).input;
    expect(JSON.parse(item?.arguments ?? "")).toEqual({ a: "[REDACTED]" });
  });

  it("blocks the word in the place of a type, a role or an id, and in an unknown item", async () => {
    for (const item of [
      { type: "message", role: "secret", content: "x" },
      { type: "odd", deep: { text: ["secret"] } },
      { role: "user", content: [{ type: "secret", text: "x" }] },
      { type: "function_call", id: "secret words", call_id: "c1", name: "f", arguments: "{}" },
    ]) {
      const { refusal } = await served(BLOCK, input(item), "application/json", [PLAIN]);
      expect(refusal).toMatchObject({ code: "content_blocked" });
    }
  });

  it("lets pass what only the API says, and takes no member of it for content", async () => {
    const body = {
      ...userParts({ type: "input_text", text: "x" }),
      instructions: "x",
      reasoning: { effort: "high", summary: "auto" },
      include: ["reasoning.encrypted_content"],
      text: { verbosity: "low", format: { type: "json_schema", name: "x", schema: { type: "object" }, strict: true } },
      tools: [{ type: "function", name: "x", parameters: { type: "object" }, strict: true }],
      tool_choice: "required",
      parallel_tool_calls: false,
      truncation: "disabled",
      store: false,
    };
    const words =
      "input|user|instructions|reasoning|effort|high|auto|encrypted|verbosity|low|json_schema|required|50|disabled|parallel";
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "words", pattern: words, action: "block", appliesTo: "request" }],
    };
    const { sent, refusal } = await served(spec, body, "application/json", [PLAIN]);
    expect(refusal).toBeUndefined();
    expect(sent).toEqual([JSON.stringify(body)]);
  });
});

/** Items with the word in one place each. */
const ANSWERS: readonly (readonly [string, Item])[] = [
  ["a text", textItem("a secret")],
  ["two texts", textItem("a sec", "ret")],
  ["the arguments of a call", callItem('{"a":"secret"}')],
  ["an escape in arguments", callItem('{"a":"se\\u0063ret"}')],
  ["the name of a call", callItem("{}", "secret")],
  ["a summary", reasoningItem("a secret")],
  ["a custom call", { type: "custom_tool_call", id: "ctc_1", call_id: "c1", name: "f", input: "a secret" }],
  ["a refusal", { type: "message", id: "msg_1", role: "assistant", content: [{ type: "refusal", refusal: "secret" }] }],
  [
    "an annotation",
    {
      type: "message",
      id: "m",
      role: "assistant",
      content: [{ type: "output_text", text: "x", annotations: [{ title: "secret" }] } as never],
    },
  ],
  ["an unknown item", { type: "odd", words: { deep: "secret" } }],
];

describe("a guardrail on a response", () => {
  it.each<readonly [string, readonly Item[]]>([
    ["texts around reasoning", [textItem("a sec"), reasoningItem("x"), textItem("ret")]],
    ["reasoning around a text", [reasoningItem("a sec"), textItem("x"), reasoningItem("ret")]],
    [
      "texts around the content of reasoning",
      [
        textItem("a sec"),
        { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "x" }] },
        textItem("ret"),
      ],
    ],
  ])("blocks and redacts the word in %s", async (_, items) => {
    const whole = [JSON.stringify(response(items))];
    const blocked = await served(BLOCK, RESPONSE_BODY, "application/json", whole);
    expect(blocked.refusal).toMatchObject({ code: "content_blocked" });
    const { text } = await served(REDACT, RESPONSE_BODY, "application/json", whole);
    expect(text).not.toMatch(/sec"|"ret/);
  });

  it.each(ANSWERS)("blocks and redacts the word in %s", async (_, item) => {
    const whole = [JSON.stringify(response([item]))];
    const blocked = await served(BLOCK, RESPONSE_BODY, "application/json", whole);
    expect(blocked.refusal).toMatchObject({ code: "content_blocked" });
    expect(blocked.settlement).toMatchObject({ promptTokens: 3, completionTokens: 5 });
    const { text } = await served(REDACT, RESPONSE_BODY, "application/json", whole);
    expect(text).not.toMatch(/secret|sec"|\\\\u0063/);
    expect(JSON.parse(text)).toMatchObject({ object: "response", status: "completed" });
  });

  it("leaves every byte of an answer in which nothing matches", async () => {
    const answer = `${JSON.stringify(response([textItem("fine"), callItem("{}")])).slice(0, -1)} , "x": 12345678901234567890}`;
    const { text } = await served(REDACT, RESPONSE_BODY, "application/json", [answer]);
    expect(text).toBe(answer);
  });

  it("takes the tokens of a text from an answer that may be rewritten", async () => {
    const logprobs = [{ token: "sec", logprob: -1, bytes: [115], top_logprobs: [] }];
    const item = { ...textItem("x"), content: [{ type: "output_text", text: "x", annotations: [], logprobs }] };
    const { text } = await served(REDACT, RESPONSE_BODY, "application/json", [JSON.stringify(response([item]))]);
    expect(JSON.parse(text)).toMatchObject({ output: [{ content: [{ text: "x", logprobs: null }] }] });
  });
});

interface StreamedEvent {
  readonly type: string;
  readonly output_index?: number;
  readonly content_index?: number;
  readonly delta?: string;
  readonly response?: { readonly output: readonly Item[] };
}

function eventsIn(text: string): readonly StreamedEvent[] {
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => JSON.parse(data) as StreamedEvent);
}

/** Texts that a client joins from the pieces of a stream. */
function joined(text: string): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const { type, output_index, content_index = 0, delta } of eventsIn(text)) {
    if (delta === undefined) continue;
    const key = `${output_index}.${content_index} ${type.replace(/^response\.|\.delta$/g, "")}`;
    texts[key] = (texts[key] ?? "") + delta;
  }
  return texts;
}

/** Checks that pieces come between the beginning and the end of their text, and that whole texts are the sums of their pieces. */
function expectWellFormed(text: string): void {
  const done = new Set<string>();
  const sums = new Map<string, string>();
  for (const event of eventsIn(text) as readonly (StreamedEvent & Record<string, unknown>)[]) {
    const { type, output_index, content_index = 0, delta } = event;
    const key = `${output_index}.${content_index} ${type.replace(/^response\.|\.(?:delta|done)$/g, "")}`;
    if (delta !== undefined) {
      expect(done).not.toContain(key);
      sums.set(key, (sums.get(key) ?? "") + delta);
    } else if (/(?:text|arguments|input)\.done$/.test(type)) {
      done.add(key);
      expect(event["text"] ?? event["arguments"] ?? event["input"]).toBe(sums.get(key) ?? "");
    }
  }
}

const STREAM = { ...RESPONSE_BODY, stream: true };
const cutsOf = (word: string): readonly number[] => Array.from({ length: word.length + 1 }, (_, at) => at);
const cutAt =
  (at: number) =>
  (text: string): readonly string[] => [text.slice(0, at), text.slice(at)];

describe("a guardrail on a streamed response", () => {
  it.each(cutsOf("a secret!"))(
    "redacts the pieces of a text that is cut at %j, and all that repeats it",
    async (at) => {
      const stream = responseStream([textItem("a secret!")], cutAt(at));
      const { text, settlement } = await served(REDACT, STREAM, "text/event-stream", [stream]);
      expect(joined(text)).toEqual({ "0.0 output_text": "a [REDACTED]!" });
      expect(text).not.toContain("secret");
      expectWellFormed(text);
      expect(eventsIn(text).at(-1)?.response?.output).toMatchObject([{ content: [{ text: "a [REDACTED]!" }] }]);
      expect(settlement).toMatchObject({ outcome: "succeeded", completionTokens: 5, estimated: false });
    },
  );

  it("redacts every text of a stream, in pieces of one character, and lets the rest of each leave in its place", async () => {
    const items = [
      reasoningItem("so secret, so sec"),
      textItem("a secret se", "and sec"),
      callItem('{"a":"secret"}'),
      { type: "custom_tool_call", id: "ctc_1", call_id: "c1", name: "f", input: "a secret sec" },
    ];
    const { text } = await served(REDACT, STREAM, "text/event-stream", [
      responseStream(items, (text) => Array.from(text)),
    ]);
    expect(text).not.toContain("secret");
    expect(joined(text)).toEqual({
      "0.0 reasoning_summary_text": "so [REDACTED], so sec",
      "1.0 output_text": "a [REDACTED] se",
      "1.1 output_text": "and sec",
      "2.0 function_call_arguments": '{"a":"[REDACTED]"}',
      "3.0 custom_tool_call_input": "a [REDACTED] sec",
    });
    expectWellFormed(text);
  });

  it("takes the text with which something begins for the first piece of it", async () => {
    const place = { output_index: 0, item_id: "msg_1", content_index: 0 };
    const stream =
      responseEvent({ type: "response.content_part.added", ...place, part: { type: "output_text", text: "a sec" } }) +
      responseEvent({ type: "response.output_text.delta", ...place, delta: "ret" });
    const { text } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(text).not.toMatch(/ret"|secret/);
    const call =
      responseEvent({ type: "response.output_item.added", ...place, item: callItem('{"a":"sec') }) +
      responseEvent({ type: "response.function_call_arguments.delta", ...place, delta: 'ret"}' });
    expect((await served(REDACT, STREAM, "text/event-stream", [call])).text).not.toMatch(/ret\\"|secret/);
  });

  it("keeps the arguments of a call valid where a number in them is redacted, in every event that has them", async () => {
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "number", pattern: "4111", action: "redact", appliesTo: "both" }],
    };
    const stream = responseStream([callItem('{"n":4111}')], (json) => [json]);
    const { text } = await served(spec, STREAM, "text/event-stream", [stream]);
    const given = [...text.matchAll(/"(?:arguments|delta)":"((?:[^"\\]|\\.)+)"/g)].map(([, json]) => json);
    expect(given).toHaveLength(4);
    for (const json of given) expect(json).toBe(String.raw`{\"n\":\"[REDACTED]\"}`);
  });

  it("joins the pieces of a text whose positions are numbers in some events and texts in others", async () => {
    const pieces = ["a s", "e", "c", "r", "et"].map((text, at) =>
      responseEvent({ type: "response.output_text.delta", output_index: at % 2 === 0 ? 1 : "1", delta: text }),
    );
    const { text } = await served(REDACT, STREAM, "text/event-stream", [pieces.join("")]);
    const deltas = eventsIn(text).filter(({ delta }) => delta !== undefined);
    expect(deltas.map(({ output_index }) => Number(output_index))).toEqual([1, 1, 1, 1, 1]);
    expect(deltas.map(({ delta }) => delta).join("")).toBe("a [REDACTED]");
  });

  it("holds a text over events that say nothing about it", async () => {
    const place = { output_index: 0, item_id: "msg_1", content_index: 0 };
    const delta = (text: string) => responseEvent({ type: "response.output_text.delta", ...place, delta: text });
    const between =
      responseEvent({ type: "keepalive" }) +
      responseEvent({ type: "response.output_text.annotation.added", ...place, annotation: { title: "x" } }) +
      responseEvent({ type: "response.function_call_arguments.delta", output_index: 1, delta: "{}" });
    const { text } = await served(REDACT, STREAM, "text/event-stream", [delta("a sec") + between + delta("ret")]);
    expect(joined(text)["0.0 output_text"]).toBe("a [REDACTED]");
  });

  it("ends a stream with a blocked word with an error, without the word, and charges all of it", async () => {
    const stream = responseStream([textItem("fine, a secret and more")], cutAt(10));
    const { text, settlement } = await served(BLOCK, STREAM, "text/event-stream", [stream]);
    expect(joined(text)).toEqual({ "0.0 output_text": "fine, a " });
    expect(text).not.toContain("secret");
    const [, last = ""] = /event: error\ndata: (.*)\n\n$/.exec(text) ?? [];
    expect(JSON.parse(last)).toMatchObject({
      type: "error",
      code: "content_blocked",
      error: { code: "content_blocked", rule: "guardrail.content_patterns" },
    });
    expect(settlement).toMatchObject({ errorCode: "content_blocked", promptTokens: 3, completionTokens: 5 });
  });

  it("finds the texts of an event in time that grows with their number", async () => {
    const texts = Array.from({ length: 8_000 }, (_, at) => `${at} secret`);
    const done = responseEvent({ type: "response.output_item.done", output_index: 0, item: textItem(...texts) });
    const { text, refusal } = await served(REDACT, STREAM, "text/event-stream", [done]);
    expect(refusal).toBeUndefined();
    expect(text).toContain("7999 [REDACTED]");
    expect(text).not.toContain("secret");
  });

  it("leaves every byte of a stream in which nothing matches", async () => {
    const stream = responseStream([textItem("all fine", "too"), callItem("{}"), reasoningItem("hm")], cutAt(2));
    expect((await served(REDACT, STREAM, "text/event-stream", [stream])).text).toBe(stream);
  });

  const at = (output_index: number, content_index: number) => ({ item_id: "msg_1", output_index, content_index });
  const delta = (place: object, text: string, type = "response.output_text.delta") =>
    responseEvent({ type, ...place, delta: text });
  const whole = (items: readonly Item[]) => responseEvent({ type: "response.completed", response: response(items) });
  const itemDone = (output_index: number, item: Item) =>
    responseEvent({ type: "response.output_item.done", output_index, item });
  const textDone = (place: object, text: string) =>
    responseEvent({ type: "response.output_text.done", ...place, text });
  const unsplit = (text: string) => [text];

  /** Streams with the word over two places each. */
  it.each<readonly [string, string]>([
    ["over two parts", responseStream([textItem("a sec", "ret")], unsplit)],
    ["over two items", responseStream([textItem("a sec"), reasoningItem("x"), textItem("ret")], unsplit)],
    ["over two thoughts", responseStream([reasoningItem("a sec"), textItem("x"), reasoningItem("ret")], unsplit)],
    ["around a piece of another part", delta(at(0, 0), "a sec") + delta(at(0, 1), "x") + delta(at(0, 0), "ret")],
    [
      "around an unknown event of the item",
      delta(at(0, 0), "a sec") + responseEvent({ type: "response.x_notice", ...at(0, 0) }) + delta(at(0, 0), "ret"),
    ],
    ...["apply_patch_call_operation_diff", "code_interpreter_call_code", "mcp_call_arguments", "x"].map(
      (name): readonly [string, string] => [
        `over deltas of ${name}`,
        delta(at(0, 0), "a sec", `response.${name}.delta`) + delta(at(0, 0), "ret", `response.${name}.delta`),
      ],
    ),
    [
      "around the event that ends a call",
      delta(at(0, 0), "a sec", "response.function_call_arguments.delta") +
        responseEvent({ type: "response.function_call_arguments.done", ...at(0, 0), arguments: "{}" }) +
        delta(at(0, 0), "ret", "response.function_call_arguments.delta"),
    ],
    ["over deltas without a type", 'data: {"delta":"a sec"}\n\ndata: {"delta":"ret"}\n\n'],
    [
      "over an item and a delta",
      responseEvent({ type: "response.output_item.added", output_index: 0, item: textItem("a sec") }) +
        delta(at(0, 0), "ret"),
    ],
    [
      "over an item and a delta of its summary",
      responseEvent({ type: "response.output_item.added", output_index: 0, item: reasoningItem("a sec") }) +
        delta({ output_index: 0, summary_index: 0 }, "ret", "response.reasoning_summary_text.delta"),
    ],
    ["over whole texts", textDone(at(0, 0), "a sec") + textDone(at(0, 1), "ret")],
    ["over the parts of a whole item", itemDone(0, textItem("a sec", "ret"))],
    ["over whole items", itemDone(0, textItem("a sec")) + itemDone(1, textItem("ret"))],
    ["over the parts of the whole answer", whole([textItem("a sec", "ret")])],
  ])("lets no match leave that is split %s", async (_, stream) => {
    const { text, refusal } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(refusal).toBeUndefined();
    expect(text).not.toMatch(/ret"/);
    expect(text).toContain("[REDACTED]");
    if (stream.startsWith("event: response.created")) expectWellFormed(text);
    const blocked = await served(BLOCK, STREAM, "text/event-stream", [stream]);
    expect(blocked.settlement).toMatchObject({ errorCode: "content_blocked" });
    expect(blocked.text).not.toMatch(/ret"/);
  });

  it("lets the held part of a text leave without the other members of its event", async () => {
    const stream = delta({ ...at(0, 0), logprobs: [{ token: "secret" }], x: "secret" }, "a sec");
    expect((await served(REDACT, STREAM, "text/event-stream", [stream])).text).not.toContain("secret");
  });
});

const UNINSPECTABLE: GuardrailSpec = { uninspectable: "block" };
const PNG = "iVBORw0KGgoAAAANSUhEUg==";

describe("what cannot be inspected", () => {
  it.each<readonly [string, object]>([
    [
      "an image that a tool returned",
      {
        type: "function_call_output",
        call_id: "c1",
        output: [{ type: "input_image", image_url: "https://x.example/a.png" }],
      },
    ],
    [
      "a screen",
      {
        type: "computer_call_output",
        call_id: "c1",
        output: { type: "computer_screenshot", image_url: "https://x.example/a.png" },
      },
    ],
    [
      "a screen in a file",
      { type: "computer_call_output", call_id: "c1", output: { type: "computer_screenshot", file_id: "file-1" } },
    ],
    ["an image of before", { type: "image_generation_call", id: "ig_1", status: "completed", result: PNG }],
  ])("is refused in a request: %s", async (_, item) => {
    const { refusal } = await served(UNINSPECTABLE, input(item), "application/json", [PLAIN]);
    expect(refusal).toMatchObject({ code: "content_uninspectable" });
  });

  it.each<readonly [string, { type: string; [member: string]: unknown }]>([
    [
      "a part of an image",
      { type: "response.image_generation_call.partial_image", output_index: 0, partial_image_b64: PNG },
    ],
    ["audio", { type: "response.audio.delta", delta: "UklGRgAAAAA=" }],
    [
      "an item with audio",
      {
        type: "response.output_item.done",
        output_index: 0,
        item: {
          type: "message",
          id: "m",
          role: "assistant",
          content: [{ type: "output_audio", data: "UklGRgAAAAA=" }],
        },
      },
    ],
  ])("is refused in an event, and passes where a pattern redacts: %s", async (_, data) => {
    const stream = responseEvent(data);
    expect((await served(UNINSPECTABLE, STREAM, "text/event-stream", [stream])).refusal ?? {}).toMatchObject({
      code: "content_uninspectable",
    });
    expect((await served(REDACT, STREAM, "text/event-stream", [stream])).text).toContain(stream);
  });
});

describe("a guardrail in shadow mode", () => {
  it("refuses no stream that has more texts than can be open", async () => {
    const stream = Array.from({ length: 1_100 }, (_, index) =>
      responseEvent({ type: "response.output_text.delta", output_index: index, content_index: 0, delta: "x" }),
    ).join("");
    expect((await served(BLOCK, STREAM, "text/event-stream", [stream], "shadow")).text).toContain(stream);
    expect((await served(BLOCK, STREAM, "text/event-stream", [stream])).settlement).toMatchObject({
      errorCode: "content_blocked",
    });
  });
});
