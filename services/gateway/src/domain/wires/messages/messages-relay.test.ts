import { describe, expect, it } from "vitest";
import { breakingAfter } from "../../../../test/fake-upstream.ts";
import { MICRO } from "../../../../test/pipeline-under-test.ts";
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
import { serveOnce } from "../../../../test/serve-once.ts";
import type { UpstreamAnswer } from "../../ports/upstream.ts";
import { MESSAGES } from "./messages-wire.ts";

const served = (body: object | string, type: string, parts: readonly string[], more?: Partial<UpstreamAnswer>) =>
  serveOnce({ wire: MESSAGES }, body, type, parts, more);
const JSON_TYPE = "application/json";
const STREAM_TYPE = "text/event-stream";
const STREAM = { ...MESSAGE_BODY, stream: true };
/** Cost of 3 input tokens and 5 output tokens. */
const COST = 13n * MICRO;

describe("a message", () => {
  it("is requested and answered in the bytes of its client and its upstream", async () => {
    const body =
      '{"max_tokens" : 50,"model":"echo", "x_unknown":[12345678901234567890, 1.0,"\\u00e9\\/"],"messages":[{"content":"h\\u0069","role":"user"}]}';
    const answer = `${JSON.stringify(message([{ type: "text", text: "hi" }])).slice(0, -1)}, "big": 98765432109876543210}`;
    const { sent, reply, settlement, spentNano } = await served(body, JSON_TYPE, [answer]);
    expect(sent).toEqual([body]);
    expect(reply.text).toBe(answer);
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false, outcome: "succeeded" });
    expect(spentNano).toBe(COST);
  });

  it("counts what a cache holds as input, and as the parts that have rates of their own", async () => {
    const usage = {
      input_tokens: 3,
      output_tokens: 5,
      cache_read_input_tokens: 20,
      cache_creation_input_tokens: 10,
      service_tier: "standard",
    };
    const { settlement } = await served(MESSAGE_BODY, JSON_TYPE, [JSON.stringify(message([], { usage }))]);
    const parts = { cachedPromptTokens: 20, cacheWriteTokens: 10 };
    expect(settlement).toMatchObject({ promptTokens: 33, completionTokens: 5, ...parts });
  });

  it("streams in the bytes of its upstream, and is charged by its last usage", async () => {
    const thinking =
      blockStart(0, { type: "thinking", thinking: "", signature: "" }) +
      blockDelta(0, { type: "thinking_delta", thinking: "hm" }) +
      blockDelta(0, { type: "signature_delta", signature: "EqQBCg==" }) +
      blockStop(0);
    const tool =
      blockStart(2, { type: "tool_use", id: "toolu_1", name: "f", input: {} }) +
      blockDelta(2, { type: "input_json_delta", partial_json: '{"n":1234567890' }) +
      blockDelta(2, { type: "input_json_delta", partial_json: "1234567890}" }) +
      blockStop(2);
    const stream = messageStream(thinking, textBlock(1, "hel", "lo"), tool);
    for (const parts of [[stream], stream.match(/[^]{1,7}/g) ?? []]) {
      const { reply, settlement, spentNano } = await served(STREAM, STREAM_TYPE, parts);
      expect(reply.text).toBe(stream);
      expect(settlement).toMatchObject({
        promptTokens: 3,
        completionTokens: 5,
        estimated: false,
        outcome: "succeeded",
      });
      expect(spentNano).toBe(COST);
    }
  });

  it("is whole by its stop reason, and gets the end that its upstream did not send", async () => {
    const stream = messageStream(textBlock(0, "hi"));
    const end = messageEvent({ type: "message_stop" });
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [stream.slice(0, -end.length)]);
    expect(reply.text).toBe(stream);
    expect(settlement).toMatchObject({ outcome: "succeeded", estimated: false });
  });

  it("that breaks off ends in an error event, and is charged for what was delivered", async () => {
    const stream = messageStream(textBlock(0, "one two three"));
    const head = stream.slice(0, stream.indexOf("event: message_delta"));
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [], { body: breakingAfter(head) });
    expect(reply.text.startsWith(head)).toBe(true);
    const [, last = ""] = /event: error\ndata: (.*)\n\n$/.exec(reply.text) ?? [];
    expect(JSON.parse(last)).toMatchObject({ type: "error", error: { type: "api_error", code: "upstream_error" } });
    expect(settlement).toMatchObject({ outcome: "failed", estimated: true, promptTokens: 3 });
    expect(settlement?.completionTokens).toBeGreaterThanOrEqual(3);
  });

  it("that its upstream ends with an error gets it in the words of the upstream", async () => {
    const stream = messageStream(textBlock(0, "hi"));
    const error = messageEvent({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    const head = stream.slice(0, stream.indexOf("event: message_delta"));
    const { reply, settlement } = await served(STREAM, STREAM_TYPE, [head + error]);
    expect(reply.text.slice(head.length)).toMatch(/^event: error\ndata: \{"type":"error","error":\{.*Overloaded/);
    expect(settlement).toMatchObject({ outcome: "failed" });
  });

  it("leaves as events to a client that asked for a stream of an upstream that does not stream, and the reverse", async () => {
    const content = [
      { type: "thinking", thinking: "hm", signature: "c2ln" },
      { type: "text", text: "hi" },
      { type: "tool_use", id: "toolu_1", name: "f", input: { n: 1 } },
    ];
    const whole = JSON.stringify(message(content));
    const { reply } = await served(STREAM, JSON_TYPE, [whole]);
    const { reply: back, settlement } = await served(MESSAGE_BODY, STREAM_TYPE, [reply.text]);
    expect(JSON.parse(back.text)).toEqual(JSON.parse(whole));
    expect(settlement).toMatchObject({ promptTokens: 3, completionTokens: 5, estimated: false });
  });

  it.each([
    ["max_tokens", { model: "echo", messages: MESSAGE_BODY.messages }],
    ["messages", { model: "echo", max_tokens: 1, messages: [] }],
    ["messages[0].content", { ...MESSAGE_BODY, messages: [{ role: "user", content: 7 }] }],
    [
      "messages[0].content[1]",
      { ...MESSAGE_BODY, messages: [{ role: "user", content: [{ type: "text", text: "a" }, 7] }] },
    ],
    ["system", { ...MESSAGE_BODY, system: 7 }],
    ["tools[0]", { ...MESSAGE_BODY, tools: ["f"] }],
    ["tools[0].type", { ...MESSAGE_BODY, tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["container", { ...MESSAGE_BODY, container: "c_1" }],
    ["mcp_servers", { ...MESSAGE_BODY, mcp_servers: [{ url: "https://x" }] }],
    ["max_completion_tokens", { ...MESSAGE_BODY, max_completion_tokens: 1_000_000 }],
    ["context_management", { ...MESSAGE_BODY, context_management: { edits: [{ type: "compact_20260112" }] } }],
    ["service_tier", { ...MESSAGE_BODY, service_tier: "flex" }],
    ["Messages", '{"model":"echo","max_tokens":1,"messages":[{"role":"user","content":"a"}],"Messages":[]}'],
    ["messages[0].content", { ...MESSAGE_BODY, messages: [{ role: "user", content: "a", Content: "b" }] }],
  ])("is refused for its %s, before anything is sent", async (param, body) => {
    const { sent, refusal } = await served(body, JSON_TYPE, ["{}"]);
    expect(refusal).toMatchObject({ status: 400 });
    expect(refusal?.message).toContain(param.replace("Messages", "messages"));
    expect(sent).toEqual([]);
  });

  it("may clear what is old from its context, and run tools that its client runs", async () => {
    const body = {
      ...MESSAGE_BODY,
      context_management: { edits: [{ type: "clear_tool_uses_20250919" }] },
      tools: [
        { type: "bash_20250124", name: "bash" },
        { name: "f", input_schema: { type: "object" } },
      ],
    };
    const { sent } = await served(body, JSON_TYPE, [JSON.stringify(message([]))]);
    expect(sent).toEqual([JSON.stringify(body)]);
  });
});
