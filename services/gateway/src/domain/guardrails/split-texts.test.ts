import type { GuardrailSpec } from "@routeplane/guardrails";
import { describe, expect, it } from "vitest";
import { fakeGuardrailDirectory } from "../../../test/fake-guardrail-directory.ts";
import { answeringUpstream } from "../../../test/fake-upstream.ts";
import { pipelineUnderTest } from "../../../test/pipeline-under-test.ts";
import { message, MESSAGE_BODY } from "../../../test/sample-messages.ts";
import { response, RESPONSE_BODY, textItem } from "../../../test/sample-responses.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { EMBEDDINGS } from "../wires/embeddings/embeddings-wire.ts";
import { MESSAGES } from "../wires/messages/messages-wire.ts";
import { RESPONSES } from "../wires/responses/responses-wire.ts";
import type { Wire } from "../wires/wire.ts";

/** Tests of the rule of texts that are read as one, as `evasion-variants.md` states it, on each wire. */

const CHAT_ANSWER = { choices: [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }] };
const ANSWERS = new Map<Wire, object>([
  [CHAT, CHAT_ANSWER],
  [RESPONSES, response([textItem("x")])],
  [MESSAGES, message([{ type: "text", text: "x" }])],
  [EMBEDDINGS, { object: "list", data: [], usage: { prompt_tokens: 1, total_tokens: 1 } }],
]);

async function served(wire: Wire, body: object, action: "block" | "redact", pattern = "secret") {
  const spec: GuardrailSpec = { contentPatterns: [{ name: "word", pattern, action, appliesTo: "request" }] };
  const upstream = answeringUpstream("application/json", [JSON.stringify(ANSWERS.get(wire))]);
  const { serve, sent } = pipelineUnderTest({ upstream, wire, guardrails: fakeGuardrailDirectory([spec]) });
  const { refusal } = await serve(body);
  return { code: refusal?.code, sent: sent[0] };
}

const chat = (...messages: readonly object[]) => ({ model: "echo", max_tokens: 50, messages });
const responses = (...input: readonly object[]) => ({ ...RESPONSE_BODY, input });
const messages = (...content: readonly object[]) => ({ ...MESSAGE_BODY, messages: content });
const says = (role: string, content: unknown) => ({ role, content });

const toolCall = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };
const called = { role: "assistant", content: null, tool_calls: [toolCall] };
const answered = (content: string) => ({ role: "tool", tool_call_id: "call_1", content });
const call = { type: "function_call", call_id: "call_1", name: "f", arguments: "{}" };
const output = (value: unknown, type = "function_call_output") => ({ type, call_id: "call_1", output: value });
const use = says("assistant", [{ type: "tool_use", id: "toolu_1", name: "f", input: {} }]);
const result = (content: unknown) => ({ type: "tool_result", tool_use_id: "toolu_1", content });
const text = (value: string, type = "text") => ({ type, text: value });
const thought = (thinking: string) => ({ type: "thinking", thinking, signature: "c2ln" });

/** Requests with "sec" and "ret" in two texts of one turn. */
const READ_AS_ONE: readonly (readonly [string, Wire, object])[] = [
  ["chat: the result of a tool, and the user", CHAT, chat(called, answered("a sec"), says("user", "ret"))],
  ["chat: the user, and the result of a tool", CHAT, chat(says("user", "a sec"), called, answered("ret"))],
  ["chat: the results of two tools", CHAT, chat(called, answered("a sec"), answered("ret"))],
  [
    "chat: the result of a function, and a part",
    CHAT,
    chat({ role: "function", name: "f", content: "a sec" }, says("user", [text("ret")])),
  ],
  ["chat: the system, and the developer", CHAT, chat(says("system", "a sec"), says("developer", "ret"))],
  [
    "responses: the result of a tool, and the user",
    RESPONSES,
    responses(call, output("a sec"), says("user", [text("ret", "input_text")])),
  ],
  [
    "responses: parts of a result, and the user",
    RESPONSES,
    responses(call, output([text("a sec", "input_text")]), says("user", "ret")),
  ],
  ["responses: the user, and a result", RESPONSES, responses(says("user", "a sec"), call, output("ret"))],
  ["responses: the results of two tools", RESPONSES, responses(output("a sec"), output("ret"))],
  [
    "responses: instructions, and the system",
    RESPONSES,
    { ...responses(says("system", "ret")), instructions: "a sec" },
  ],
  [
    "messages: the result of a tool, and a block behind it",
    MESSAGES,
    messages(use, says("user", [result("a sec"), text("ret")])),
  ],
  [
    "messages: blocks of a result, and a block behind it",
    MESSAGES,
    messages(use, says("user", [result([text("a sec")]), text("ret")])),
  ],
  [
    "messages: the results of two tools",
    MESSAGES,
    messages(use, says("user", [result("a sec")]), use, says("user", [result("ret")])),
  ],
  [
    "messages: two thoughts of a message",
    MESSAGES,
    messages(says("user", "x"), says("assistant", [thought("a sec"), text("x"), thought("ret")])),
  ],
];

/** Requests with "sec" and "ret" in two texts that models read separately. */
const READ_APART: readonly (readonly [string, Wire, object])[] = [
  ["chat: the system, and the user", CHAT, chat(says("system", "a sec"), says("user", "ret"))],
  ["chat: the user, and the model", CHAT, chat(says("user", "a sec"), says("assistant", "ret"))],
  ["responses: instructions, and the user", RESPONSES, { ...responses(says("user", "ret")), instructions: "a sec" }],
  ["responses: the model, and a result", RESPONSES, responses(says("assistant", "a sec"), output("ret"))],
  ["messages: the system, and the user", MESSAGES, { ...messages(says("user", "ret")), system: "a sec" }],
  ["messages: the user, and a prefill", MESSAGES, messages(says("user", "a sec"), says("assistant", "ret"))],
  ["embeddings: two inputs", EMBEDDINGS, { model: "echo", input: ["a sec", "ret"] }],
];

describe("a match that is split over two texts of a request", () => {
  it.each(READ_AS_ONE)("is blocked, and redacted in each, in one turn: %s", async (_, wire, body) => {
    expect(await served(wire, body, "block")).toEqual({ code: "content_blocked", sent: undefined });
    const { code, sent = "" } = await served(wire, body, "redact");
    expect(code).toBeUndefined();
    expect(sent).toContain('"a [REDACTED]"');
    expect(sent).not.toMatch(/sec"|"ret"/);
  });

  it.each(READ_APART)("is none if two sides speak, or no model reads both: %s", async (_, wire, body) => {
    for (const action of ["block", "redact"] as const) {
      expect(await served(wire, body, action)).toEqual({ code: undefined, sent: JSON.stringify(body) });
    }
  });

  it.each([
    ["before", { role: "assistant", ...output("a sec") }],
    ["behind", { ...output("a sec"), role: "assistant" }],
  ])("is blocked over a result of a tool that names a role %s it", async (_, item) => {
    expect((await served(RESPONSES, responses(item, says("user", "ret")), "block")).code).toBe("content_blocked");
  });

  it("takes no edge from a text", async () => {
    const body = chat(called, answered("42"), says("user", "43"));
    expect((await served(CHAT, body, "block", "^43$")).code).toBe("content_blocked");
    expect((await served(CHAT, body, "block", String.raw`\b42\b`)).code).toBe("content_blocked");
    expect((await served(CHAT, body, "block", "^3$")).code).toBeUndefined();
  });
});
