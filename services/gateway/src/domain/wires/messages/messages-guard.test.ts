import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../../test/fake-upstream.ts";
import { pipelineUnderTest } from "../../../../test/pipeline-under-test.ts";
import {
  blockDelta,
  blockStart,
  blockStop,
  message,
  MESSAGE_BODY,
  messageEvent,
  messageStream,
  textBlock,
} from "../../../../test/sample-messages.ts";
import { MESSAGES } from "./messages-wire.ts";

const REDACT: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "redact", appliesTo: "both" }],
};
const BLOCK: GuardrailSpec = {
  contentPatterns: [{ name: "word", pattern: "secret", action: "block", appliesTo: "both" }],
};

/** Serves a request under a guardrail. */
async function served(spec: GuardrailSpec, body: object, type: string, parts: readonly string[]) {
  const upstream = answeringUpstream(type, parts);
  const guardrails = fakeGuardrailDirectory([spec]);
  const { serve, sent, usage } = pipelineUnderTest({ upstream, wire: MESSAGES, guardrails });
  const { reply, refusal } = await serve(body);
  return { text: reply.text, refusal, sent, settlement: usage.settlements[0] };
}

const userBlocks = (...content: readonly object[]) => ({ ...MESSAGE_BODY, messages: [{ role: "user", content }] });
const PLAIN = JSON.stringify(message([{ type: "text", text: "fine" }]));

const textOf = (text: string) => ({ type: "text", text });
const plain = (data: string) => ({ type: "text", media_type: "text/plain", data });
const result = (...content: readonly object[]) => ({ type: "tool_result", tool_use_id: "toolu_1", content });

/** Requests with the word in one place each. */
const PLACES: Readonly<Record<string, object>> = {
  "a text": { ...MESSAGE_BODY, messages: [{ role: "user", content: "a secret" }] },
  "a block": userBlocks({ type: "text", text: "a secret" }),
  "two blocks": userBlocks({ type: "text", text: "a sec" }, { type: "text", text: "ret" }),
  "two messages": {
    ...MESSAGE_BODY,
    messages: [
      { role: "user", content: "a sec" },
      { role: "user", content: "ret" },
    ],
  },
  "the system prompt": { ...MESSAGE_BODY, system: "a secret" },
  "blocks of the system prompt": {
    ...MESSAGE_BODY,
    system: [
      { type: "text", text: "a sec" },
      { type: "text", text: "ret" },
    ],
  },
  "a result of a tool": userBlocks({ type: "tool_result", tool_use_id: "toolu_1", content: "a secret" }),
  "blocks of a result": userBlocks({
    type: "tool_result",
    tool_use_id: "toolu_1",
    content: [{ type: "text", text: "a secret" }],
  }),
  "the input of a tool call": userBlocks({ type: "tool_use", id: "toolu_1", name: "f", input: { a: ["secret"] } }),
  "a name in the input of a tool call": userBlocks({ type: "tool_use", id: "t", name: "f", input: { secret: 1 } }),
  "the name of a tool": userBlocks({ type: "tool_use", id: "toolu_1", name: "secret", input: {} }),
  thinking: userBlocks({ type: "thinking", thinking: "secret", signature: "c2ln" }),
  "a document": userBlocks({ type: "document", source: { type: "text", media_type: "text/plain", data: "a secret" } }),
  "a document in base64": userBlocks({
    type: "document",
    source: { type: "base64", media_type: "text/plain", data: Buffer.from("the secret").toString("base64") },
  }),
  "blocks in a result within a result": userBlocks(
    result({ type: "search_result", content: [textOf("a sec"), textOf("ret")] }),
  ),
  "blocks of a document within a result": userBlocks(
    result({ type: "document", source: { type: "content", content: [textOf("a sec"), textOf("ret")] } }),
  ),
  "a long document of letters and spaces": userBlocks({
    type: "document",
    source: plain(`${"word ".repeat(40)}secret`),
  }),
  "a document and its title": userBlocks({ type: "document", title: "a sec", source: plain("ret") }),
  "the system prompt and a message of the system": {
    ...MESSAGE_BODY,
    messages: [
      { role: "system", content: "ret" },
      { role: "user", content: "x" },
    ],
    system: "a sec",
  },
  "the title of a document": userBlocks({
    type: "document",
    title: "secret",
    source: { type: "text", media_type: "text/plain", data: "x" },
  }),
  "a tool": { ...MESSAGE_BODY, tools: [{ name: "f", description: "secret", input_schema: {} }] },
  metadata: { ...MESSAGE_BODY, metadata: { user_id: "secret" } },
  "an unknown member": { ...MESSAGE_BODY, x_more: { deep: ["secret"] } },
};

describe("a guardrail on a request for a message", () => {
  it.each(Object.entries(PLACES))("blocks and redacts the word in %s", async (_, body) => {
    const blocked = await served(BLOCK, body, "application/json", [PLAIN]);
    expect(blocked.refusal).toMatchObject({ status: 400, code: "content_blocked" });
    expect(blocked.sent).toEqual([]);
    const { sent } = await served(REDACT, body, "application/json", [PLAIN]);
    expect(sent).toHaveLength(1);
    const text = sent[0] ?? "";
    expect(text).not.toMatch(/secret|sec"|c2VjcmV0|VjcmV0/);
    expect(() => JSON.parse(text)).not.toThrow();
  });

  it("judges a document of plain text as it is written, also if it is base64 of another text", async () => {
    const body = userBlocks({ type: "document", source: plain("8passwordCBA") });
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "word", pattern: "password", action: "block", appliesTo: "request" }],
    };
    expect((await served(spec, body, "application/json", [PLAIN])).refusal).toMatchObject({ code: "content_blocked" });
  });

  it("takes a file that a block names for content that cannot be inspected", async () => {
    const body = userBlocks({ type: "container_upload", file_id: "file_1" });
    const { refusal } = await served({ uninspectable: "block" }, body, "application/json", [PLAIN]);
    expect(refusal).toMatchObject({ code: "content_uninspectable" });
  });

  it("blocks the word in the type of a block", async () => {
    const body = userBlocks({ type: "secret", text: "x" });
    const { refusal } = await served(BLOCK, body, "application/json", [PLAIN]);
    expect(refusal).toMatchObject({ code: "content_blocked" });
  });

  it("lets pass what only the API says, and takes no member of it for content", async () => {
    const body = {
      ...userBlocks({ type: "text", text: "x", cache_control: { type: "ephemeral", ttl: "1h" } }),
      system: "x",
      thinking: { type: "enabled", budget_tokens: 1_024 },
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
    };
    const words =
      "user|messages|system|ephemeral|thinking|enabled|budget_tokens|1024|auto|disable_parallel_tool_use|1h";
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "words", pattern: words, action: "block", appliesTo: "request" }],
    };
    const { sent, refusal } = await served(spec, body, "application/json", [PLAIN]);
    expect(refusal).toBeUndefined();
    expect(sent).toEqual([JSON.stringify(body)]);
  });
});

describe("a guardrail on a message", () => {
  it.each<readonly [string, readonly object[]]>([
    ["a text", [{ type: "text", text: "a secret" }]],
    [
      "two texts",
      [
        { type: "text", text: "a sec" },
        { type: "text", text: "ret" },
      ],
    ],
    ["the input of a tool call", [{ type: "tool_use", id: "toolu_1", name: "f", input: { a: { b: "secret" } } }]],
    ["thinking", [{ type: "thinking", thinking: "a secret", signature: "c2ln" }]],
    [
      "two thoughts",
      [
        { type: "thinking", thinking: "a sec", signature: "c2ln" },
        { type: "text", text: "x" },
        { type: "thinking", thinking: "ret", signature: "c2ln" },
      ],
    ],
    ["a citation", [{ type: "text", text: "x", citations: [{ type: "page", cited_text: "secret" }] }]],
  ])("blocks and redacts the word in %s", async (_, content) => {
    const whole = [JSON.stringify(message(content))];
    const blocked = await served(BLOCK, MESSAGE_BODY, "application/json", whole);
    expect(blocked.refusal).toMatchObject({ code: "content_blocked" });
    expect(blocked.settlement).toMatchObject({ promptTokens: 3, completionTokens: 5 });
    const { text } = await served(REDACT, MESSAGE_BODY, "application/json", whole);
    expect(text).not.toMatch(/secret|sec"/);
    expect(JSON.parse(text)).toMatchObject({ type: "message", stop_reason: "end_turn" });
  });

  it("leaves every byte of an answer in which nothing matches", async () => {
    const answer = `${JSON.stringify(message([{ type: "text", text: "fine" }])).slice(0, -1)} , "x": 12345678901234567890}`;
    const { text } = await served(REDACT, MESSAGE_BODY, "application/json", [answer]);
    expect(text).toBe(answer);
  });
});

/** Text, thinking and inputs that a client joins from a stream. */
function joined(text: string) {
  const parts: Record<string, string> = {};
  for (const [, data = ""] of text.matchAll(/^data: (.*)$/gm)) {
    const { type, index, delta } = JSON.parse(data) as { type: string; index: number; delta?: Record<string, string> };
    if (type !== "content_block_delta" || delta === undefined) continue;
    for (const member of ["text", "thinking", "partial_json"]) {
      const key = member === "text" ? "text" : `${member} ${index}`;
      if (delta[member] !== undefined) parts[key] = (parts[key] ?? "") + delta[member];
    }
  }
  return parts;
}

/** Checks that blocks start and stop in order, and that no delta comes outside of its block. */
function expectWellFormed(text: string): void {
  let open: number | undefined;
  for (const [, data = ""] of text.matchAll(/^data: (.*)$/gm)) {
    const { type, index } = JSON.parse(data) as { type: string; index: number };
    if (type === "content_block_start") {
      expect(open).toBeUndefined();
      open = index;
    } else if (type === "content_block_delta") expect(index).toBe(open);
    else if (type === "content_block_stop") {
      expect(index).toBe(open);
      open = undefined;
    } else if (type === "message_stop") expect(open).toBeUndefined();
  }
}

const STREAM = { ...MESSAGE_BODY, stream: true };
const cuts = (word: string): readonly (readonly string[])[] =>
  Array.from({ length: word.length + 1 }, (_, at) => [word.slice(0, at), word.slice(at)]);

describe("a guardrail on a streamed message", () => {
  it.each(cuts("a secret!"))("redacts a text that is cut into %j and %j", async (first, second) => {
    const stream = messageStream(textBlock(0, first, second));
    const { text, settlement } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(joined(text)).toEqual({ text: "a [REDACTED]!" });
    expectWellFormed(text);
    expect(settlement).toMatchObject({ outcome: "succeeded", completionTokens: 5, estimated: false });
  });

  it.each(cuts("a secret!"))(
    "redacts a text that goes on from one block with %j to the next with %j",
    async (first, second) => {
      const stream = messageStream(textBlock(0, first), textBlock(1, second));
      const { text } = await served(REDACT, STREAM, "text/event-stream", [stream]);
      expect(joined(text)).toEqual({ text: "a [REDACTED]!" });
      expectWellFormed(text);
    },
  );

  it("lets the rest of a text leave in its block, before a tool call and before the end", async () => {
    const tool = blockStart(1, { type: "tool_use", id: "toolu_1", name: "f", input: {} }) + blockStop(1);
    const stream = messageStream(textBlock(0, "so se"), tool);
    const { text } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(joined(text)).toEqual({ text: "so se" });
    expectWellFormed(text);
    const { text: last } = await served(REDACT, STREAM, "text/event-stream", [messageStream(textBlock(0, "a sec"))]);
    expect(joined(last)).toEqual({ text: "a sec" });
    expectWellFormed(last);
  });

  it.each(cuts('{"a":"secret"}'))("redacts the input of a tool call in the pieces %j and %j", async (first, second) => {
    const call =
      blockStart(0, { type: "tool_use", id: "toolu_1", name: "f", input: {} }) +
      blockDelta(0, { type: "input_json_delta", partial_json: first }) +
      blockDelta(0, { type: "input_json_delta", partial_json: second }) +
      blockStop(0);
    const { text } = await served(REDACT, STREAM, "text/event-stream", [messageStream(call)]);
    expect(JSON.parse(joined(text)["partial_json 0"] ?? "")).toEqual({ a: "[REDACTED]" });
    expectWellFormed(text);
  });

  it("redacts thinking, tool names and what is sent whole", async () => {
    const thinking =
      blockStart(0, { type: "thinking", thinking: "", signature: "" }) +
      blockDelta(0, { type: "thinking_delta", thinking: "a sec" }) +
      blockDelta(0, { type: "thinking_delta", thinking: "ret" }) +
      blockStop(0);
    const tool =
      blockStart(1, { type: "tool_use", id: "toolu_1", name: "secret", input: { a: "secret" } }) + blockStop(1);
    const { text } = await served(REDACT, STREAM, "text/event-stream", [messageStream(thinking, tool)]);
    expect(text).not.toContain("secret");
    expect(joined(text)).toEqual({ "thinking 0": "a [REDACTED]" });
  });

  it("ends a stream with a blocked word with an error, without the word, and charges all of it", async () => {
    const stream = messageStream(textBlock(0, "fine, ", "a sec", "ret", " and more"));
    const { text, settlement } = await served(BLOCK, STREAM, "text/event-stream", [stream]);
    expect(joined(text)).toEqual({ text: "fine, a " });
    expect(text).toMatch(/event: error\ndata: \{"type":"error".*content_blocked.*\n\n$/);
    expect(settlement).toMatchObject({ errorCode: "content_blocked", promptTokens: 3, completionTokens: 5 });
  });

  it("leaves every byte of a stream in which nothing matches", async () => {
    const stream = messageStream(textBlock(0, "all ", "fine"), textBlock(1, "too"));
    const { text } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(text).toBe(stream);
  });

  it("lets no text leave in other fields of events, or in names that are given twice", async () => {
    const evil =
      ": secret\n\nevent: secret\nid: secret\n" +
      blockDelta(0, { type: "text_delta", text: "x" }).replace("event: content_block_delta\n", "") +
      'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"secret","text":"x"}}\n\n';
    const stream = messageStream(blockStart(0, { type: "text", text: "" }) + evil + blockStop(0));
    const { text } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(text).not.toContain("secret");
  });

  const text = (value: string) => blockDelta(0, { type: "text_delta", text: value });
  const open = blockStart(0, { type: "text", text: "" });
  const thought = (index: number, value: string) =>
    blockStart(index, { type: "thinking", thinking: "", signature: "" }) +
    blockDelta(index, { type: "thinking_delta", thinking: value }) +
    blockStop(index);
  const call = (index: number) =>
    blockStart(index, { type: "tool_use", id: "toolu_1", name: "f", input: {} }) +
    blockDelta(index, { type: "input_json_delta", partial_json: "{}" }) +
    blockStop(index);
  const started = (content: readonly object[], ...blocks: readonly string[]) =>
    messageStream(...blocks).replace('"content":[]', `"content":${JSON.stringify(content)}`);
  const unknownDelta = (value: string) => blockDelta(0, { type: "x_delta", words: value });

  /** Streams with the word over two places each. */
  it.each<readonly [string, string]>([
    [
      "around an unknown event",
      messageStream(open + text("a sec"), messageEvent({ type: "x_notice" }), text("ret") + blockStop(0)),
    ],
    ["around an event without a type", messageStream(open + text("a sec"), "data: {}\n\n", text("ret") + blockStop(0))],
    ["around a tool call", messageStream(textBlock(0, "a sec"), call(1), textBlock(2, "ret"))],
    ["around thinking", messageStream(textBlock(0, "a sec"), thought(1, "x"), textBlock(2, "ret"))],
    [
      "in three blocks around calls",
      messageStream(textBlock(0, "a s"), call(1), textBlock(2, "ec"), call(3), textBlock(4, "ret")),
    ],
    ["in two thoughts", messageStream(thought(0, "a sec"), textBlock(1, "x"), thought(2, "ret"))],
    [
      "in the start of a thought and a delta",
      messageStream(
        blockStart(0, { type: "thinking", thinking: "a sec" }) +
          blockDelta(0, { type: "thinking_delta", thinking: "ret" }) +
          blockStop(0),
      ),
    ],
    ["in the start of the message and a block", started([{ type: "text", text: "a sec" }], textBlock(0, "ret"))],
    ["in deltas of an unknown type", messageStream(open + unknownDelta("a sec") + unknownDelta("ret") + blockStop(0))],
    [
      "in deltas without a type",
      messageStream(open + blockDelta(0, { text: "a sec" }) + blockDelta(0, { text: "ret" }) + blockStop(0)),
    ],
    [
      "in deltas whose event has two types",
      messageStream(
        open +
          text("a sec").replace("{", '{"type":"ping",') +
          text("ret").replace("{", '{"type":"ping",') +
          blockStop(0),
      ),
    ],
  ])("lets no match leave that is split %s", async (_, stream) => {
    const { text: redacted, refusal } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(refusal).toBeUndefined();
    expect(redacted).not.toMatch(/ret[" ]/);
    expect(redacted).toContain("[REDACTED]");
    expectWellFormed(redacted);
    const blocked = await served(BLOCK, STREAM, "text/event-stream", [stream]);
    expect(blocked.settlement).toMatchObject({ errorCode: "content_blocked" });
    expect(blocked.text).not.toMatch(/ret[" ]/);
  });

  it.each<readonly [string, string]>([
    ["an event that says nothing", messageEvent({ type: "ping" })],
    ["a comment", ": x\n\n"],
    ["data that is no JSON", "data: x\n\n"],
  ])("lets the rest of a text leave in its block over %s behind the block", async (_, between) => {
    const stream = messageStream(textBlock(0, "a sec"), between);
    const { text: passed } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(passed.match(/text":"[^"]+/g)).toEqual(['text":"a ', 'text":"sec']);
    expect(passed.indexOf('"sec"')).toBeLessThan(passed.indexOf("content_block_stop"));
  });

  it("redacts a word at the start of a block after one that ends within a word", async () => {
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "word", pattern: "\\bsecret\\b", action: "redact", appliesTo: "both" }],
    };
    const stream = messageStream(textBlock(0, "a se"), call(1), textBlock(2, "secret."));
    const { text: passed } = await served(spec, STREAM, "text/event-stream", [stream]);
    expect(joined(passed)["text"]).toBe("a se[REDACTED].");
  });

  it("lets the held part of a text leave without the other members of its event", async () => {
    const stream = messageStream(
      open + blockDelta(0, { type: "text_delta", text: "a sec", x: "secret" }) + blockStop(0),
    );
    expect((await served(REDACT, STREAM, "text/event-stream", [stream])).text).not.toContain("secret");
  });

  it("judges pieces of a call that come after its end together with the call", async () => {
    const json = (value: string) => blockDelta(1, { type: "input_json_delta", partial_json: value });
    const stream = messageStream(
      blockStart(1, { type: "tool_use", id: "toolu_1", name: "f", input: {} }) + json('{"a":"a 41'),
      blockStop(1) + json('11"}'),
    );
    const spec: GuardrailSpec = {
      contentPatterns: [{ name: "number", pattern: "4111", action: "redact", appliesTo: "both" }],
    };
    const { text: passed } = await served(spec, STREAM, "text/event-stream", [stream]);
    expect(joined(passed)).toEqual({ "partial_json 1": '{"a":"a 41[REDACTED]"}' });
  });

  it("refuses a stream that goes back to a block before another one with text", async () => {
    const delta = (index: number, value: string) => blockDelta(index, { type: "text_delta", text: value });
    const stream = messageStream(open + delta(0, "a sec") + blockStart(1, textOf("x")) + delta(0, "ret"));
    const { text: passed, settlement } = await served(REDACT, STREAM, "text/event-stream", [stream]);
    expect(passed).not.toContain("ret");
    expect(settlement).toMatchObject({ errorCode: "content_blocked" });
  });

  it("judges a delta whose member has a long name", async () => {
    const long = (value: string) => blockDelta(0, { type: "x_delta", ["x".repeat(300)]: value });
    const { text: passed } = await served(REDACT, STREAM, "text/event-stream", [
      messageStream(open + long("a sec") + long("ret") + blockStop(0)),
    ]);
    expect(passed).toContain("[REDACTED]");
    expect(passed).not.toContain('"ret"');
  });

  it("passes more tool calls than texts may be open at a time", async () => {
    const stream = messageStream(...Array.from({ length: 1_100 }, (_, index) => call(index)));
    expect((await served(REDACT, STREAM, "text/event-stream", [stream])).text).toBe(stream);
  });
});
