import type { StopReason } from "@anthropic-ai/sdk/resources/messages";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assembleChat, assembleMessages, type Block, type ChatAnswer, chatStreamOf } from "../test/streams.ts";
import { type MessagesAnswer, messagesStreamOf, parsed } from "../test/streams.ts";
import type { WireEvent } from "./model.ts";
import { openStreamTranslation, translateAnswer } from "./translate.ts";

const CONTEXT = { createdAt: 1_700_000_000 };
const text = fc.string({ minLength: 1, maxLength: 30, unit: "grapheme" });
const count = fc.integer({ min: 0, max: 1_000_000 });
const name = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom("a", "b", "c", "d", "_") });
const input = fc.dictionary(name, fc.jsonValue({ maxDepth: 2 }), { noNullPrototype: true });

const chatAnswer: fc.Arbitrary<ChatAnswer> = fc
  .record({
    reasoning_content: text,
    content: fc.option(text),
    refusal: fc.option(text),
    calls: fc.array(fc.record({ id: name, name, input }), { maxLength: 4 }),
    finish: fc.constantFrom("stop", "length", "tool_calls", "content_filter"),
    usage: fc.record({ prompt: fc.integer({ min: 1, max: 1_000_000 }), output: count, cached: count, written: count }),
  })
  .map(({ reasoning_content, content, refusal, calls, finish, usage }) => ({
    id: "chatcmpl-1",
    created: 1_700_000_000,
    model: "gpt-5",
    choices: [
      {
        message: {
          reasoning_content,
          content,
          refusal,
          tool_calls: calls.map(({ id, name, input }) => ({
            id,
            type: "function" as const,
            function: { name, arguments: JSON.stringify(input) },
          })),
        },
        finish_reason: finish,
      },
    ],
    usage: {
      prompt_tokens: usage.prompt + usage.cached + usage.written,
      completion_tokens: usage.output,
      prompt_tokens_details: { cached_tokens: usage.cached, cache_write_tokens: usage.written },
    },
  }));

const block: fc.Arbitrary<Block> = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text }),
  fc.record({ type: fc.constant("thinking" as const), thinking: text, signature: text }),
  fc.record({ type: fc.constant("redacted_thinking" as const), data: text }),
  fc.record({ type: fc.constant("tool_use" as const), id: name, name, input }),
);

const messagesAnswer: fc.Arbitrary<MessagesAnswer> = fc
  .record({
    content: fc.array(block, { maxLength: 6 }),
    stop: fc.constantFrom<StopReason[]>(
      "end_turn",
      "max_tokens",
      "stop_sequence",
      "tool_use",
      "pause_turn",
      "refusal",
      "model_context_window_exceeded",
    ),
    usage: fc.record({
      input_tokens: fc.integer({ min: 1, max: 1_000_000 }),
      output_tokens: count,
      cache_read_input_tokens: count,
      cache_creation_input_tokens: count,
      service_tier: fc.constantFrom("standard", "priority"),
    }),
  })
  .map(({ content, stop, usage }) => ({
    id: "msg_1",
    model: "claude-sonnet-5",
    content,
    stop_reason: stop,
    stop_sequence: null,
    usage,
  }));

const size = fc.integer({ min: 1, max: 12 });

function translateStream(from: "chat" | "messages", events: readonly WireEvent[], to: "chat" | "messages") {
  const translation = openStreamTranslation(from, to, CONTEXT);
  return [...events.flatMap((event) => translation.push(event)), ...translation.end()];
}

describe("a translated stream", () => {
  it("is the translated whole answer, from chat to messages", () => {
    fc.assert(
      fc.property(chatAnswer, size, fc.boolean(), (answer, size, isMixed) => {
        const streamed = assembleMessages(translateStream("chat", chatStreamOf(answer, size, isMixed), "messages"));
        expect(streamed).toEqual(
          JSON.parse(JSON.stringify(translateAnswer("chat", "messages", { ...answer }, CONTEXT))),
        );
      }),
    );
  });

  it("is the translated whole answer, from messages to chat", () => {
    fc.assert(
      fc.property(messagesAnswer, size, (answer, size) => {
        const streamed = assembleChat(translateStream("messages", messagesStreamOf(answer, size), "chat"));
        expect(streamed).toEqual(
          JSON.parse(JSON.stringify(translateAnswer("messages", "chat", { ...answer }, CONTEXT))),
        );
      }),
    );
  });

  it("has no normal end if the upstream's stream breaks off, but the known usage", () => {
    const answer = {
      id: "msg_1",
      model: "claude-sonnet-5",
      content: [{ type: "text" as const, text: "Hello there" }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: 20, cache_read_input_tokens: 5, output_tokens: 9 },
    };
    const events = messagesStreamOf(answer, 4);
    const broken = translateStream("messages", events.slice(0, -2), "chat");
    expect(broken.map(parsed).flatMap(({ choices }) => choices.map((choice) => choice.finish_reason))).not.toContain(
      "stop",
    );
    expect(parsed(broken.at(-1)!)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 25, prompt_tokens_details: { cached_tokens: 5 } },
    });
    expect(parsed(broken.at(-1)!).usage).not.toHaveProperty("completion_tokens");

    const chat = translateStream("messages", events, "chat");
    const cut = translateStream("chat", chat.slice(0, 3), "messages");
    expect(cut.map(({ name }) => name)).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
    ]);
  });

  it("ends normally after its stop reason, even if the last event of the upstream is missing", () => {
    const finish = { choices: [{ index: 0, delta: {}, finish_reason: "length" }] };
    const events = translateStream("chat", [{ data: JSON.stringify(finish) }], "messages");
    expect(events.map(({ name }) => name)).toEqual(["message_start", "message_delta", "message_stop"]);
    expect(parsed(events[1]!).delta["stop_reason"]).toBe("max_tokens");
    const delta = { type: "message_delta", delta: { stop_reason: "max_tokens" } };
    const chunks = translateStream("messages", [{ data: JSON.stringify(delta) }], "chat");
    expect(chunks.at(-1)).toEqual({ data: "[DONE]" });
    expect(parsed(chunks.at(-2)!).choices[0]?.finish_reason).toBe("length");
  });

  it("ends with the error of the upstream, after the known usage", () => {
    const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
    const start = { type: "message_start", message: { id: "msg_1", model: "m", usage: { input_tokens: 7 } } };
    const chunks = translateStream(
      "messages",
      [{ data: JSON.stringify(start) }, { data: JSON.stringify(error) }, { data: '{"type":"message_stop"}' }],
      "chat",
    );
    expect(chunks.slice(-2).map(parsed)).toEqual([
      expect.objectContaining({ choices: [], usage: { prompt_tokens: 7 } }),
      { error: { message: "Overloaded", type: "overloaded_error", param: null, code: null } },
    ]);
    const failed = { error: { message: "went wrong", type: "server_error", code: "oops" } };
    const events = translateStream("chat", [{ data: JSON.stringify(failed) }, { data: "[DONE]" }], "messages");
    expect(events).toEqual([
      { name: "error", data: '{"type":"error","error":{"type":"api_error","message":"went wrong"}}' },
    ]);
  });

  it("skips unknown events, and never throws", () => {
    const events = fc.array(
      fc.record({ data: fc.oneof(fc.string(), fc.json(), fc.constantFrom("[DONE]", '{"choices":[null]}')) }),
    );
    const typed = fc.array(
      fc.record({
        data: fc
          .record({
            type: fc.constantFrom("message_start", "content_block_start", "content_block_delta", "message_delta"),
            index: fc.jsonValue({ maxDepth: 0 }),
            message: fc.jsonValue(),
            content_block: fc.jsonValue(),
            delta: fc.jsonValue(),
            choices: fc.array(fc.record({ delta: fc.jsonValue(), finish_reason: fc.jsonValue() })),
            usage: fc.jsonValue(),
          })
          .map((value) => JSON.stringify(value)),
      }),
    );
    fc.assert(
      fc.property(fc.oneof(events, typed), fc.constantFrom("chat", "messages"), (events, from) => {
        const to = from === "chat" ? "messages" : "chat";
        for (const { data } of translateStream(from, events, to)) if (data !== "[DONE]") JSON.parse(data);
      }),
    );
  });

  it("writes calls that share an index as separate blocks", () => {
    const chunk = (id: string) => ({
      data: JSON.stringify({
        choices: [
          { delta: { tool_calls: [{ index: 0, id, function: { name: "look", arguments: `{"of":"${id}"}` } }] } },
        ],
      }),
    });
    const finish = { data: JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }] }) };
    const message = assembleMessages(translateStream("chat", [chunk("a"), chunk("b"), finish], "messages"));
    expect(message["content"]).toEqual([
      { type: "tool_use", id: "a", name: "look", input: { of: "a" } },
      { type: "tool_use", id: "b", name: "look", input: { of: "b" } },
    ]);
    expect(message["stop_reason"]).toBe("tool_use");
  });

  it.each([
    ["an index that is a text", { index: "0", delta: { content: "Hi" }, finish_reason: "stop" }],
    ["a message in the place of a delta", { index: 0, message: { content: "Hi" }, finish_reason: "stop" }],
  ])("reads a choice with %s", (_, choice) => {
    const chunk = { data: JSON.stringify({ choices: [choice] }) };
    const message = assembleMessages(translateStream("chat", [chunk], "messages"));
    expect(message).toMatchObject({ content: [{ type: "text", text: "Hi" }], stop_reason: "end_turn" });
  });

  it("skips a choice whose index no JavaScript number holds", () => {
    const chunk = { data: '{"choices":[{"index":12345678901234567890,"delta":{"content":"Hi"}}]}' };
    expect(assembleMessages(translateStream("chat", [chunk], "messages"))).not.toHaveProperty(
      "stop_reason",
      "end_turn",
    );
  });

  it("writes calls without ids, of one index, as separate blocks with ids of their own", () => {
    const chunk = (of: string) => {
      const call = { index: 0, id: "", function: { name: "look", arguments: `{"of":"${of}"}` } };
      return { data: JSON.stringify({ id: "c-1", choices: [{ delta: { tool_calls: [call] } }] }) };
    };
    const again = { index: 0, function: { name: "look", arguments: "" } };
    const end = { data: JSON.stringify({ choices: [{ delta: { tool_calls: [again] }, finish_reason: "stop" }] }) };
    const message = assembleMessages(translateStream("chat", [chunk("a"), chunk("b"), end], "messages"));
    expect(message["content"]).toEqual([
      { type: "tool_use", id: "call_c-1_0", name: "look", input: { of: "a" } },
      { type: "tool_use", id: "call_c-1_1", name: "look", input: { of: "b" } },
    ]);
  });

  it("ends a call when the next one starts, but not before its arguments are complete", () => {
    const piece = (index: number, text: string, id?: string) => ({
      data: JSON.stringify({
        choices: [{ delta: { tool_calls: [{ index, id, function: { name: id, arguments: text } }] } }],
      }),
    });
    const orderOf = (events: readonly WireEvent[]) =>
      translateStream("chat", events, "messages")
        .slice(1)
        .map((event) => `${event.name} ${parsed(event).index}`.replace("content_block_", ""));
    const oneByOne = [piece(0, "", "a"), piece(0, '{"x":1}'), piece(1, "", "b"), piece(1, "{}")];
    expect(orderOf(oneByOne)).toEqual(["start 0", "delta 0", "stop 0", "start 1", "delta 1"]);
    const mixed = [piece(0, '{"x":', "a"), piece(1, "{}", "b"), piece(0, "1}"), piece(2, "{}", "c")];
    const order = "start 0, delta 0, start 1, delta 1, delta 0, stop 0, stop 1, start 2, delta 2";
    expect(orderOf(mixed)).toEqual(order.split(", "));
  });

  it("keeps the digits of arguments", () => {
    const digits = '{"id":12345678901234567890}';
    const call = { index: 0, id: "a", function: { name: "look", arguments: digits } };
    const [, , delta] = translateStream(
      "chat",
      [{ data: JSON.stringify({ choices: [{ delta: { tool_calls: [call] } }] }) }],
      "messages",
    );
    expect(parsed(delta!).delta["partial_json"]).toBe(digits);
  });

  const start = (block: object, index = 0) => ({
    data: JSON.stringify({ type: "content_block_start", index, content_block: block }),
  });
  const delta = (piece: object, index = 0) => ({
    data: JSON.stringify({ type: "content_block_delta", index, delta: piece }),
  });
  const stop = { data: '{"type":"content_block_stop","index":0}' };
  const end = [
    { data: '{"type":"message_delta","delta":{"stop_reason":"end_turn"}}' },
    { data: '{"type":"message_stop"}' },
  ];
  const messageOf = (events: readonly WireEvent[]) =>
    (assembleChat(translateStream("messages", events, "chat"))["choices"] as { message: Record<string, unknown> }[])[0]!
      .message;

  it("has an empty object as arguments of a call without any", () => {
    const message = messageOf([start({ type: "tool_use", id: "a", name: "look", input: {} }), stop, ...end]);
    expect(message["tool_calls"]).toEqual([{ id: "a", type: "function", function: { name: "look", arguments: "{}" } }]);
  });

  it("has the input in the start of a block, once", () => {
    const block = start({ type: "tool_use", id: "a", name: "look", input: { x: 1 } });
    const argumentsOf = (events: readonly WireEvent[]) => messageOf(events)["tool_calls"];
    const expected = [{ id: "a", type: "function", function: { name: "look", arguments: '{"x":1}' } }];
    expect(argumentsOf([block, stop, ...end])).toEqual(expected);
    const piece = delta({ type: "input_json_delta", partial_json: '{"x":1}' });
    expect(argumentsOf([block, piece, stop, ...end])).toEqual(expected);
  });

  it("leaves out the seal of reasoning that exceeds the bound of kept text", () => {
    const million = "x".repeat(1_000_000);
    const pieces = (count: number) =>
      Array.from({ length: count }, () => delta({ type: "thinking_delta", thinking: million }));
    const sealed = (count: number) => [
      start({ type: "thinking", thinking: "", signature: "" }),
      ...pieces(count),
      delta({ type: "signature_delta", signature: "c2ln" }),
      stop,
      ...end,
    ];
    expect(messageOf(sealed(4))).toHaveProperty("thinking_blocks");
    expect(messageOf(sealed(5))).not.toHaveProperty("thinking_blocks");
    expect(messageOf(sealed(5))["reasoning_content"]).toHaveLength(5_000_000);
  });

  it("ends with an error beyond 1,000 open parts", () => {
    const blocks = Array.from({ length: 1_001 }, (_, index) => start({ type: "text", text: "" }, index));
    const chunks = translateStream("messages", blocks, "chat");
    expect(chunks.at(-1)?.data).toContain("more than 1000 open blocks");
    const calls = Array.from({ length: 1_001 }, (_, index) => ({
      index,
      id: `a${index}`,
      function: { name: "look", arguments: "{}" },
    }));
    const chunk = { data: JSON.stringify({ choices: [{ delta: { tool_calls: calls } }] }) };
    expect(translateStream("chat", [chunk], "messages").at(-1)?.data).toContain("more than 1000 tool calls");
  });

  it("reports the known usage before the error of a chat upstream", () => {
    const usage = { data: JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } }) };
    const error = { data: JSON.stringify({ error: { message: "went wrong", type: "server_error" } }) };
    const events = translateStream("chat", [usage, error], "messages");
    expect(events.map(({ name }) => name)).toEqual(["message_start", "message_delta", "error"]);
    expect(parsed(events[1]!)).toMatchObject({
      delta: { stop_reason: null },
      usage: { input_tokens: 7, output_tokens: 2 },
    });
  });
});
