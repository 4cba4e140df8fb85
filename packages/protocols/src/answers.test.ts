import type { StopReason } from "@anthropic-ai/sdk/resources/messages";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "./json.ts";
import { translateAnswer } from "./translate.ts";

const CONTEXT = { createdAt: 1_700_000_000, requestedModel: "asked" };

function chatAnswer(message: JsonObject, finish: string, more: JsonObject = {}): JsonObject {
  return { id: "chatcmpl-1", model: "gpt-5", choices: [{ index: 0, message, finish_reason: finish }], ...more };
}

function messagesAnswer(content: readonly JsonObject[], stop: string | null, more: JsonObject = {}): JsonObject {
  return { id: "msg_1", model: "claude-sonnet-5", content, stop_reason: stop, stop_sequence: null, ...more };
}

const toMessages = (answer: JsonObject) => translateAnswer("chat", "messages", answer, CONTEXT);
const toChat = (answer: JsonObject) => translateAnswer("messages", "chat", answer, CONTEXT);

const call = (text: string) => ({ id: "a", type: "function", function: { name: "look", arguments: text } });

describe("an answer of chat as one of messages", () => {
  it.each([
    ["stop", { content: "Hi" }, "end_turn"],
    ["length", { content: "Hi" }, "max_tokens"],
    ["tool_calls", { tool_calls: [call("{}")] }, "tool_use"],
    ["stop", { tool_calls: [call("{}")] }, "tool_use"],
    ["content_filter", { content: "Hi" }, "refusal"],
    ["stop", { refusal: "No" }, "refusal"],
    ["eos", { content: "Hi" }, "end_turn"],
  ])("stops by %s of %j as %s", (finish, message, reason) => {
    expect(toMessages(chatAnswer(message, finish))["stop_reason"]).toBe(reason);
  });

  it("has its reasoning first, then text and tool calls, with the digits of arguments", () => {
    const digits = '{"id":12345678901234567890}';
    const message = { reasoning: "Hm", content: "Looking", tool_calls: [call(digits), call("")] };
    const { content } = toMessages(chatAnswer(message, "tool_calls"));
    expect(JSON.stringify(content)).toBe(
      `[{"type":"thinking","thinking":"Hm","signature":""},{"type":"text","text":"Looking"},` +
        `{"type":"tool_use","id":"a","name":"look","input":${digits}},{"type":"tool_use","id":"a","name":"look","input":{}}]`,
    );
  });

  it("gives each call without an id one of its own", () => {
    const call = { type: "function", function: { name: "look", arguments: "{}" } };
    const tool_calls = [{ ...call, id: "" }, call];
    const answer = { id: "c-1", choices: [{ message: { tool_calls }, finish_reason: "tool_calls" }] };
    const { content } = translateAnswer("chat", "messages", answer);
    expect(content).toMatchObject([{ id: "call_c-1_0" }, { id: "call_c-1_1" }]);
  });

  it("keeps arguments that are not a JSON object as text", () => {
    const { content } = toMessages(chatAnswer({ tool_calls: [call('{"x":'), call("[1]")] }, "length"));
    expect(content).toEqual([
      { type: "tool_use", id: "a", name: "look", input: '{"x":' },
      { type: "tool_use", id: "a", name: "look", input: "[1]" },
    ]);
  });

  it("has the token counts and the service tier by which it is billed", () => {
    const usage = {
      prompt_tokens: 100,
      completion_tokens: 50,
      prompt_tokens_details: { cached_tokens: 30, cache_write_tokens: 20, audio_tokens: 5 },
      completion_tokens_details: { reasoning_tokens: 40, audio_tokens: 6 },
    };
    const answer = toMessages(chatAnswer({ content: "Hi" }, "stop", { usage, service_tier: "default" }));
    expect(answer["usage"]).toEqual({
      input_tokens: 50,
      cache_read_input_tokens: 30,
      cache_creation_input_tokens: 20,
      input_tokens_details: { audio_tokens: 5 },
      output_tokens: 50,
      output_tokens_details: { thinking_tokens: 40, audio_tokens: 6 },
      service_tier: "standard",
    });
  });

  it("names the requested model if the upstream names none", () => {
    expect(toMessages(chatAnswer({ content: "Hi" }, "stop", { model: null }))["model"]).toBe("asked");
  });
});

describe("an answer of messages as one of chat", () => {
  const REASONS = {
    end_turn: "stop",
    stop_sequence: "stop",
    max_tokens: "length",
    model_context_window_exceeded: "length",
    pause_turn: "length",
    tool_use: "tool_calls",
    refusal: "content_filter",
  } satisfies Record<StopReason, string>;

  it.each(Object.entries(REASONS))("stops by %s as %s", (reason, finish) => {
    expect(toChat(messagesAnswer([], reason))["choices"]).toEqual([
      { index: 0, message: { role: "assistant", content: null, refusal: null }, logprobs: null, finish_reason: finish },
    ]);
  });

  it("has no stop reason if the upstream reports none", () => {
    expect(toChat(messagesAnswer([], null))["choices"]).toEqual([expect.objectContaining({ finish_reason: null })]);
  });

  it("has the explanation of a refusal", () => {
    const details = { type: "refusal", category: "cyber", explanation: "Not this" };
    expect(toChat(messagesAnswer([], "refusal", { stop_details: details }))["choices"]).toEqual([
      expect.objectContaining({ message: { role: "assistant", content: null, refusal: "Not this" } }),
    ]);
  });

  it("has the blocks of reasoning with their seals", () => {
    const thinking = { type: "thinking", thinking: "Hm", signature: "c2ln" };
    const redacted = { type: "redacted_thinking", data: "ZGF0" };
    const answer = toChat(messagesAnswer([thinking, redacted, { type: "text", text: "Yes" }], "end_turn"));
    expect(answer["choices"]).toEqual([
      expect.objectContaining({
        message: {
          role: "assistant",
          content: "Yes",
          refusal: null,
          reasoning_content: "Hm",
          thinking_blocks: [thinking, redacted],
        },
      }),
    ]);
  });

  it("has the token counts and the service tier by which it is billed", () => {
    const usage = {
      input_tokens: 50,
      cache_read_input_tokens: 30,
      cache_creation_input_tokens: 20,
      cache_creation: { ephemeral_5m_input_tokens: 15, ephemeral_1h_input_tokens: 5 },
      output_tokens: 50,
      output_tokens_details: { thinking_tokens: 40 },
      service_tier: "standard",
    };
    const answer = toChat(messagesAnswer([], "end_turn", { usage }));
    expect(answer).toMatchObject({ created: 1_700_000_000, service_tier: "default" });
    expect(answer["usage"]).toEqual({
      prompt_tokens: 100,
      completion_tokens: 50,
      total_tokens: 150,
      prompt_tokens_details: {
        cached_tokens: 30,
        cache_write_tokens: 20,
        cache_creation: { ephemeral_5m_input_tokens: 15, ephemeral_1h_input_tokens: 5 },
      },
      completion_tokens_details: { reasoning_tokens: 40 },
    });
    expect(toChat(messagesAnswer([], "end_turn", { usage: { ...usage, speed: "fast" } }))["service_tier"]).toBe("fast");
  });

  it("skips blocks that only tools of the provider produce", () => {
    const blocks = [
      { type: "server_tool_use", id: "a", name: "web_search", input: {} },
      { type: "text", text: "Yes" },
    ];
    expect(toChat(messagesAnswer(blocks, "end_turn"))["choices"]).toEqual([
      expect.objectContaining({ message: { role: "assistant", content: "Yes", refusal: null } }),
    ]);
  });
});

describe("reasoning of a responses upstream", () => {
  const item = {
    type: "reasoning",
    id: "rs_1",
    summary: [{ type: "summary_text", text: "Hm" }],
    encrypted_content: "ZGF0",
  };
  const answer = { id: "resp_1", model: "gpt-5", status: "completed", output: [item] };

  it("keeps its seal with a messages client, in the signature", () => {
    expect(translateAnswer("responses", "messages", answer, CONTEXT)["content"]).toEqual([
      { type: "thinking", thinking: "Hm", signature: "responses.encrypted.rs_1.ZGF0" },
    ]);
  });

  it("keeps its seal with a chat client, in the details", () => {
    expect(translateAnswer("responses", "chat", answer, CONTEXT)["choices"]).toEqual([
      expect.objectContaining({
        message: expect.objectContaining({
          reasoning_content: "Hm",
          reasoning_details: [
            { type: "reasoning.summary", id: "rs_1", summary: "Hm" },
            { type: "reasoning.encrypted", id: "rs_1", data: "ZGF0" },
          ],
        }),
      }),
    ]);
  });
});
