import { describe, expect, it } from "vitest";
import { parseRequest } from "../domain/request/parse-request.ts";
import { CHAT } from "../domain/wires/chat/chat-wire.ts";
import { MESSAGES } from "../domain/wires/messages/messages-wire.ts";
import { RESPONSES } from "../domain/wires/responses/responses-wire.ts";
import { collect } from "../domain/response/answer-body.ts";
import { createEchoUpstream } from "./echo-upstream.ts";

const echo = createEchoUpstream(() => 1_700_000_000_000);

async function ask(body: object, streamed = false) {
  const { signal } = new AbortController();
  const answer = await echo.send({
    wire: "chat",
    model: "echo",
    body: JSON.stringify({ model: "echo", ...body }),
    streamed,
    signal,
  });
  return { ...answer, text: (await collect(answer.body, 4_000_000)).toString() };
}

const user = (content: unknown) => [
  { role: "system", content: "be brief" },
  { role: "user", content },
];

describe("echo", () => {
  it("answers with the last user message and counts runs of characters as tokens", async () => {
    const { status, text } = await ask({ messages: [...user("first"), ...user(" one  two\nthree ")] });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      object: "chat.completion",
      created: 1_700_000_000,
      choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: " one  two\nthree" } }],
      usage: { prompt_tokens: 8, completion_tokens: 3, total_tokens: 11 },
    });
  });

  it("bounds a request by exactly the tokens that it will count", async () => {
    const messages = user("one two three");
    for (const more of [{}, { n: 2 }, { max_tokens: 2 }, { max_tokens: 9, n: 3 }, { max_completion_tokens: 1 }]) {
      const body = { model: "echo", messages, ...more };
      const signal = new AbortController().signal;
      const bounds = await echo.boundTokens(await parseRequest(CHAT, Buffer.from(JSON.stringify(body)), signal), {});
      const { usage } = JSON.parse((await ask(body)).text);
      expect(bounds).toEqual({ inputTokensMax: usage.prompt_tokens, outputTokensMax: usage.completion_tokens });
    }
  });

  it.each([
    ["messages", MESSAGES, { max_tokens: 5, messages: [{ role: "user", content: "one two three" }] }],
    ["responses", RESPONSES, { max_output_tokens: 5, input: "one two three" }],
  ])("bounds a translated request to %s by its words and no hidden prompt", async (_, wire, more) => {
    const body = Buffer.from(JSON.stringify({ model: "echo", ...more }));
    const bounds = await echo.boundTokens(await parseRequest(wire, body, new AbortController().signal), { id: "echo" });
    expect(bounds).toMatchObject({ inputTokensMax: expect.any(Number), outputTokensMax: 5 });
    expect(bounds.inputTokensMax).toBeGreaterThanOrEqual(3);
    expect(bounds.inputTokensMax).toBeLessThan(30);
  });

  it("takes the same characters for white space as regular expressions do", async () => {
    const units = Array.from({ length: 0xd800 }, (_, unit) => String.fromCharCode(unit));
    const some = [...units.filter((unit, at) => /\s/.test(unit) || at < 0x200 || at % 64 === 0), "\ufeff", "\ufffd"];
    for (const unit of some) {
      const { usage } = JSON.parse((await ask({ messages: user(`a${unit}b`) })).text);
      expect(usage.prompt_tokens, unit.charCodeAt(0).toString(16)).toBe(/\s/.test(unit) ? 4 : 3);
    }
  });

  it("yields to other work while it answers with many words", async () => {
    let turns = 0;
    const others = setInterval(() => turns++, 0);
    await ask({ messages: user("a ".repeat(5_000)) }, true);
    clearInterval(others);
    expect(turns).toBeGreaterThan(2);
  });

  it("is deterministic", async () => {
    const body = { messages: user("same") };
    expect((await ask(body)).text).toBe((await ask(body)).text);
  });

  it("stops at the output bound, under either name, and says so", async () => {
    for (const bound of [{ max_tokens: 2 }, { max_completion_tokens: 2 }]) {
      const { text } = await ask({ messages: user("one two three"), ...bound });
      expect(JSON.parse(text)).toMatchObject({
        choices: [{ finish_reason: "length", message: { content: "one two" } }],
        usage: { completion_tokens: 2 },
      });
    }
  });

  it("gives n choices and counts them all", async () => {
    const { text } = await ask({ messages: user("one two"), n: 3 });
    expect(JSON.parse(text)).toMatchObject({
      choices: [{ index: 0 }, { index: 1 }, { index: 2 }],
      usage: { completion_tokens: 6 },
    });
  });

  it("streams the role first, then the words, the reason, the usage if requested, and the end", async () => {
    const body = { messages: user([{ type: "text", text: "one two" }]), stream_options: { include_usage: true } };
    const { contentType, text } = await ask(body, true);
    expect(contentType).toBe("text/event-stream");
    const data = text.split("\n\n").map((event) => event.replace("data: ", ""));
    expect(data.slice(-2)).toEqual(["[DONE]", ""]);
    const chunks = data.slice(0, -2).map((chunk) => JSON.parse(chunk) as { choices: object[]; usage: unknown });
    expect(chunks.flatMap(({ choices }) => choices)).toMatchObject([
      { delta: { role: "assistant" }, finish_reason: null },
      { delta: { content: "one" } },
      { delta: { content: " two" } },
      { delta: {}, finish_reason: "stop" },
    ]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 2 } });
  });

  it("refuses a conversation without a user's text", async () => {
    expect((await ask({ messages: [{ role: "system", content: "x" }] })).status).toBe(400);
  });
});
