import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { type ChatAnswer, chatStreamOf, type MessagesAnswer, messagesStreamOf } from "../test/streams.ts";
import type { WireEvent } from "./model.ts";
import { openStreamTranslation, translateAnswer } from "./translate.ts";

/** `fetch` that answers every request with a translated stream, or a translated whole answer. */
function answering(from: "chat" | "messages", whole: object, events: readonly WireEvent[]) {
  const to = from === "chat" ? "messages" : "chat";
  return async (_url: unknown, init?: { readonly body?: unknown }): Promise<Response> => {
    if ((JSON.parse(String(init?.body)) as { readonly stream?: boolean }).stream !== true) {
      return Response.json(translateAnswer(from, to, { ...whole }));
    }
    const translation = openStreamTranslation(from, to);
    const translated = [...events.flatMap((event) => translation.push(event)), ...translation.end()];
    const lines = translated.map(
      ({ name, data }) => `${name === undefined ? "" : `event: ${name}\n`}data: ${data}\n\n`,
    );
    return new Response(lines.join(""), { headers: { "content-type": "text/event-stream" } });
  };
}

describe("the stock client of messages over a chat upstream", () => {
  const call = (id: string, text: string) => ({
    id,
    type: "function" as const,
    function: { name: "look", arguments: text },
  });
  const answer: ChatAnswer = {
    id: "chatcmpl-1",
    created: 1_700_000_000,
    model: "gpt-5",
    choices: [
      {
        message: {
          reasoning_content: "Hm",
          content: "Looking",
          refusal: null,
          tool_calls: [call("a", '{"x":1}'), call("b", '{"x":2}')],
        },
        finish_reason: "tool_calls",
      },
    ],
    usage: { prompt_tokens: 30, completion_tokens: 9, prompt_tokens_details: { cached_tokens: 10 } },
  };
  const client = new Anthropic({ apiKey: "k", fetch: answering("chat", answer, chatStreamOf(answer, 3, false)) });
  const params = { model: "m", max_tokens: 9, messages: [{ role: "user" as const, content: "Hi" }] };
  const content = [
    { type: "thinking", thinking: "Hm" },
    { type: "text", text: "Looking" },
    { type: "tool_use", id: "a", name: "look", input: { x: 1 } },
    { type: "tool_use", id: "b", name: "look", input: { x: 2 } },
  ];
  const expected = {
    content,
    stop_reason: "tool_use",
    usage: { input_tokens: 20, cache_read_input_tokens: 10, output_tokens: 9 },
  };

  it("reads a whole answer", async () => {
    expect(await client.messages.create(params)).toMatchObject(expected);
  });

  it("reads a stream, and reports the end of each block", async () => {
    const blocks: unknown[] = [];
    const stream = client.messages
      .stream(params)
      .on("contentBlock", (block) => void blocks.push(structuredClone(block)));
    expect(await stream.finalMessage()).toMatchObject(expected);
    expect(blocks).toMatchObject(content);
  });
});

describe("the stock client of chat over a messages upstream", () => {
  const answer: MessagesAnswer = {
    id: "msg_1",
    model: "claude-sonnet-5",
    content: [
      { type: "thinking", thinking: "Hm", signature: "c2ln" },
      { type: "text", text: "Looking" },
      { type: "tool_use", id: "a", name: "look", input: { x: 1 } },
      { type: "tool_use", id: "b", name: "look", input: {} },
    ],
    stop_reason: "tool_use",
    stop_sequence: null,
    usage: { input_tokens: 20, cache_read_input_tokens: 10, output_tokens: 9 },
  };
  const client = new OpenAI({ apiKey: "k", fetch: answering("messages", answer, messagesStreamOf(answer, 3)) });
  const params = { model: "m", messages: [{ role: "user" as const, content: "Hi" }] };
  const expected = {
    choices: [
      {
        finish_reason: "tool_calls",
        message: {
          content: "Looking",
          thinking_blocks: [{ type: "thinking", thinking: "Hm", signature: "c2ln" }],
          tool_calls: [
            { id: "a", type: "function", function: { name: "look", arguments: '{"x":1}' } },
            { id: "b", type: "function", function: { name: "look", arguments: "{}" } },
          ],
        },
      },
    ],
    usage: { prompt_tokens: 30, completion_tokens: 9, prompt_tokens_details: { cached_tokens: 10 } },
  };

  it("reads a whole answer", async () => {
    expect(await client.chat.completions.create(params)).toMatchObject(expected);
  });

  it("reads a stream, with the seals of the reasoning", async () => {
    const stream = client.chat.completions.stream({ ...params, stream_options: { include_usage: true } });
    expect(await stream.finalChatCompletion()).toMatchObject(expected);
  });
});
