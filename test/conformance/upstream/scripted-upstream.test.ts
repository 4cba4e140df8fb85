import { afterAll, beforeAll, expect, it } from "vitest";
import { prompt, TOOL } from "../scenarios.ts";
import { startScriptedUpstream } from "./scripted-upstream.ts";
import { UPSTREAM_KEY, type WireServer } from "./wire-server.ts";

let upstream: WireServer;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
});

afterAll(() => upstream?.close());

const content = prompt("text");
const user = { role: "user", content };
const chat = { model: "m", messages: [user] };
const messages = { ...chat, max_tokens: 100 };
const responses = { model: "m", input: content };
const call = { id: "call_1", type: "function", function: { name: TOOL.name, arguments: "{}" } };
const toolUse = { type: "tool_use", id: "toolu_1", name: TOOL.name, input: {} };

async function send(path: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${upstream.url}/v1/${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${UPSTREAM_KEY}`,
      "content-type": "application/json",
      "anthropic-version": "2023-06-01",
      ...headers,
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

it.each([
  ["chat/completions", chat],
  ["messages", messages],
  ["responses", responses],
] as const)("%s answers what is right, and refuses another key", async (path, body) => {
  expect(await send(path, body)).toMatchObject({ status: 200 });
  expect(await send(path, body, { authorization: "Bearer sk-other" })).toMatchObject({ status: 401 });
});

it.each([
  ["chat/completions", "an unknown member", { ...chat, max_output_tokens: 10 }, "max_output_tokens"],
  [
    "chat/completions",
    "a part of another wire",
    { ...chat, messages: [{ role: "user", content: [{ type: "input_text", text: content }] }] },
    "content.0.type",
  ],
  [
    "chat/completions",
    "a call without result",
    { ...chat, messages: [user, { role: "assistant", tool_calls: [call] }] },
    "tool_calls",
  ],
  [
    "chat/completions",
    "a result without call",
    { ...chat, messages: [user, { role: "tool", tool_call_id: "x", content }] },
    "tool_calls",
  ],
  [
    "chat/completions",
    "stream options without a stream",
    { ...chat, stream_options: { include_usage: true } },
    "stream_options",
  ],
  [
    "chat/completions",
    "two output bounds",
    { ...chat, max_tokens: 1, max_completion_tokens: 1 },
    "max_completion_tokens",
  ],
  ["messages", "no output bound", chat, "max_tokens"],
  ["messages", "an unknown member", { ...messages, stop: ["x"] }, "stop"],
  ["messages", "a message of the system", { ...messages, messages: [{ role: "system", content }, user] }, "role"],
  [
    "messages",
    "a tool use without result",
    { ...messages, messages: [user, { role: "assistant", content: [toolUse] }] },
    "tool_result",
  ],
  [
    "messages",
    "a tool of another wire",
    { ...messages, tools: [{ type: "function", function: { name: "f" } }] },
    "tools",
  ],
  [
    "messages",
    "an answer as the first message",
    { ...messages, messages: [{ role: "assistant", content }] },
    "first message",
  ],
  ["responses", "an unknown member", { ...responses, max_tokens: 100 }, "max_tokens"],
  ["responses", "an output bound under 16", { ...responses, max_output_tokens: 15 }, "max_output_tokens"],
  [
    "responses",
    "a tool of another wire",
    { ...responses, tools: [{ type: "function", function: { name: "f" } }] },
    "tools",
  ],
  [
    "responses",
    "an output without call",
    {
      ...responses,
      input: [
        { role: "user", content },
        { type: "function_call_output", call_id: "x", output: "" },
      ],
    },
    "call_id",
  ],
  [
    "responses",
    "reasoning that led to nothing",
    {
      ...responses,
      input: [
        { role: "user", content },
        { type: "reasoning", summary: [] },
      ],
    },
    "reasoning",
  ],
] as const)("%s refuses %s", async (path, _, body, named) => {
  const { status, text } = await send(path, body);
  expect({ status, text }).toEqual({ status: 400, text: expect.stringContaining(named) as string });
});

it("refuses sampling parameters of messages in the version of the API that has none", async () => {
  const body = { ...messages, temperature: 1 };
  expect(await send("messages", body)).toMatchObject({ status: 200 });
  expect(await send("messages", body, { "anthropic-version": "2026-10-21" })).toMatchObject({ status: 400 });
  expect(await send("messages", body, { "anthropic-version": "2020-01-01" })).toMatchObject({ status: 400 });
});
