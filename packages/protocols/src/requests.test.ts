import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cellOf, readRows } from "../test/table.ts";
import type { JsonObject } from "./json.ts";
import { parseExactly } from "./json.ts";
import { translateRequest } from "./translate.ts";

const ROWS = readRows();
const TARGET = { model: "claude-sonnet-5", outputTokensMax: 9_000 };

describe("the table of requests", () => {
  it.each(ROWS)("is true: $subject from $from to $to, $sample", ({ cell, ...row }) => {
    expect(cellOf(row)).toBe(cell);
  });

  /** Members of an interface that a stock client declares. */
  function declared(module: string, file: string, name: string): readonly string[] {
    const text = readFileSync(join(createRequire(import.meta.url).resolve(module), "..", file), "utf8");
    const start = text.indexOf(`export interface ${name} `);
    const body = text.slice(start, text.indexOf("\n}", start));
    return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, member = ""]) => member);
  }

  it.each([
    ["chat", "openai", "resources/chat/completions/completions.d.ts", "ChatCompletionCreateParamsBase"],
    ["messages", "@anthropic-ai/sdk", "resources/messages/messages.d.ts", "MessageCreateParamsBase"],
    ["responses", "openai", "resources/responses/responses.d.ts", "ResponseCreateParamsBase"],
  ])("has every member of %s that the client of %s declares", (wire, module, file, name) => {
    const members = declared(module, file, name);
    expect(members.length).toBeGreaterThan(15);
    const samples = ROWS.filter(({ from }) => from === wire).map(({ sample }) => sample);
    const isSampled = (member: string) => samples.some((sample) => sample.startsWith(`"${member}":`));
    expect(members.filter((member) => member !== "model" && !isSampled(member))).toEqual([]);
  });
});

const CONVERSATION = {
  chat: {
    messages: [
      { role: "system", content: "Be brief" },
      { role: "user", content: "Look twice" },
      {
        role: "assistant",
        content: "Looking",
        tool_calls: [
          { id: "a", type: "function", function: { name: "look", arguments: '{"id":12345678901234567890}' } },
          { id: "b", type: "function", function: { name: "look", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "a", content: "1" },
      { role: "tool", tool_call_id: "b", content: "2" },
      { role: "user", content: "So?" },
    ],
  },
  messages: {
    system: "Be brief",
    max_tokens: 9_000,
    messages: [
      { role: "user", content: "Look twice" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "Looking" },
          { type: "tool_use", id: "a", name: "look", input: parseExactly('{"id":12345678901234567890}') },
          { type: "tool_use", id: "b", name: "look", input: {} },
        ],
      },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "1" }] },
          { type: "tool_result", tool_use_id: "b", content: [{ type: "text", text: "2" }] },
          { type: "text", text: "So?" },
        ],
      },
    ],
  },
} satisfies Record<string, JsonObject>;

describe("a conversation with parallel tool calls", () => {
  it("has one message of the user for all results on messages, and keeps the digits of arguments", () => {
    const { body, dropped } = translateRequest("chat", "messages", { ...CONVERSATION.chat }, TARGET);
    const [first, ...rest] = CONVERSATION.messages.messages;
    const expected = {
      model: TARGET.model,
      max_tokens: 9_000,
      system: [{ type: "text", text: CONVERSATION.messages.system }],
      messages: [{ ...first, content: [{ type: "text", text: "Look twice" }] }, ...rest],
    };
    expect(JSON.stringify(body["messages"])).toBe(JSON.stringify(expected.messages));
    expect(JSON.parse(JSON.stringify(body))).toEqual(JSON.parse(JSON.stringify(expected)));
    expect(dropped).toEqual([]);
  });

  it("has one message for each result on chat, and keeps the digits of arguments", () => {
    const { body, dropped } = translateRequest("messages", "chat", { ...CONVERSATION.messages }, TARGET);
    expect(body["messages"]).toEqual(CONVERSATION.chat.messages);
    expect(dropped).toEqual([]);
  });
});

describe("results of tools on chat", () => {
  const translate = (content: readonly JsonObject[]) =>
    translateRequest("messages", "chat", { messages: [{ role: "user", content }] }, TARGET);

  it("are followed by their images in the user's message", () => {
    const image = { type: "image", source: { type: "url", url: "https://example.com/a.png" } };
    const { body } = translate([
      { type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "1" }, image] },
      { type: "text", text: "So?" },
    ]);
    expect(body["messages"]).toEqual([
      { role: "tool", tool_call_id: "a", content: "1" },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "https://example.com/a.png" } },
          { type: "text", text: "So?" },
        ],
      },
    ]);
  });

  it("lose the error flag, which is reported as dropped", () => {
    const { dropped } = translate([{ type: "tool_result", tool_use_id: "a", content: "x", is_error: true }]);
    expect(dropped).toEqual(["messages[].content[].is_error"]);
  });
});

describe("results of custom tools", () => {
  it("are distinguished from results of functions by their calls", () => {
    const call = { id: "a", type: "custom", custom: { name: "patch", input: "-a" } };
    const messages = [
      { role: "user", content: "Hi" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "a", content: "done" },
    ];
    const { body } = translateRequest("chat", "responses", { messages }, TARGET);
    expect(body["input"]).toEqual([
      expect.anything(),
      { type: "custom_tool_call", call_id: "a", name: "patch", input: "-a" },
      { type: "custom_tool_call_output", call_id: "a", output: "done" },
    ]);
  });
});

describe("reasoning on messages", () => {
  const translate = (effort: string, model: string, outputTokensMax: number, more = {}) =>
    translateRequest(
      "chat",
      "messages",
      { messages: [{ role: "user", content: "Hi" }], reasoning_effort: effort },
      { model, outputTokensMax, ...more },
    );

  it.each([
    ["claude-sonnet-4-5-20250929", { type: "enabled", budget_tokens: 8_192 }, undefined],
    ["claude-3-7-sonnet-latest", { type: "enabled", budget_tokens: 8_192 }, undefined],
    ["anthropic.claude-opus-4-1-20250805-v1:0", { type: "enabled", budget_tokens: 8_192 }, undefined],
    ["claude-opus-4-8", { type: "adaptive" }, { effort: "medium" }],
    ["claude-sonnet-5", { type: "adaptive" }, { effort: "medium" }],
  ])("of %s is %j", (model, thinking, config) => {
    const { body } = translate("medium", model, 20_000);
    expect(body["thinking"]).toEqual(thinking);
    expect(body["output_config"]).toEqual(config);
  });

  it("leaves half of the output bound to the answer, and is reported as dropped if it does not fit", () => {
    expect(translate("high", "claude-haiku-4-5", 4_000).body["thinking"]).toEqual({
      type: "enabled",
      budget_tokens: 2_000,
    });
    const { body, dropped } = translate("high", "claude-haiku-4-5", 1_024);
    expect(body).not.toHaveProperty("thinking");
    expect(dropped).toEqual(["reasoning_effort"]);
  });

  it("is reported as dropped for a model that does not reason", () => {
    const { body, dropped } = translate("high", "claude-sonnet-5", 9_000, { reasons: false });
    expect(body).not.toHaveProperty("thinking");
    expect(dropped).toEqual(["reasoning_effort"]);
  });
});

describe("a request", () => {
  it("keeps a member named __proto__ if clients choose names there, and is refused with it elsewhere", () => {
    const schema = '{"type":"object","properties":{"__proto__":{"type":"string"}}}';
    const body = JSON.parse(
      `{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"a","parameters":${schema}}}]}`,
    ) as JsonObject;
    const translated = translateRequest("chat", "messages", body, TARGET);
    expect(JSON.stringify(translated.body)).toContain(`"input_schema":${schema}`);
    const foreign = JSON.parse('{"messages":[],"__proto__":{"a":1}}') as JsonObject;
    expect(() => translateRequest("chat", "messages", foreign, TARGET)).toThrow(
      expect.objectContaining({ name: "Untranslatable", param: "__proto__" }),
    );
  });

  it("is refused if too many different members would be dropped", () => {
    const message: JsonObject = { role: "assistant", content: "Yes" };
    for (let index = 0; index < 40; index++) message[`extra_${index}`] = 1;
    const body = { messages: [message, { role: "user", content: "Why?" }] };
    expect(() => translateRequest("chat", "messages", body, TARGET)).toThrow(
      expect.objectContaining({ name: "Untranslatable", param: "messages[0].extra_32" }),
    );
  });
});
