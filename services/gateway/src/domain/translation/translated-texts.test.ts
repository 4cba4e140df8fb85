import { compileRules, Work } from "@routeplane/guardrails";
import { type JsonObject, type ProtocolWire, translateRequest, Untranslatable } from "@routeplane/protocols";
import fc from "fast-check";
import { expect, it } from "vitest";
import { judgeContent } from "../guardrails/content-guard.ts";
import type { GuardRules } from "../guardrails/guard.ts";
import { TRANSLATED_WIRES } from "../wires/wires.ts";

/** Any members in any order, the named ones always. */
function object(members: Readonly<Record<string, fc.Arbitrary<unknown>>>, ...required: readonly string[]) {
  return fc
    .record(members, { requiredKeys: [...required] })
    .chain((made) => fc.shuffledSubarray(Object.entries(made), { minLength: Object.keys(made).length }))
    .map((entries) => Object.fromEntries<unknown>(entries));
}

const word = fc.constantFrom("sec", "ret", "x");
const is = <T>(value: T) => fc.constant(value);
const listOf = (...items: readonly fc.Arbitrary<unknown>[]) =>
  fc.array(fc.oneof(...items), { minLength: 1, maxLength: 4 });
const textOf = (type: string, member = "text") => word.map((text) => ({ type, [member]: text }));

const text = textOf("text");
const BLANK = is({ type: "text", text: " " });
const source = fc.oneof(
  word.map((data) => ({ type: "text", media_type: "text/plain", data })),
  listOf(text).map((content) => ({ type: "content", content })),
);
const DOCUMENT = object({ type: is("document"), title: word, context: word, source }, "type", "source");
const SEARCH_RESULT = object(
  { type: is("search_result"), title: word, source: word, content: listOf(text) },
  "type",
  "title",
  "source",
  "content",
);
const content = fc.oneof(word, listOf(text, SEARCH_RESULT, DOCUMENT));
const RESULT = object({ type: is("tool_result"), tool_use_id: is("a"), content }, "type", "tool_use_id");
const THINKING = word.map((thinking) => ({ type: "thinking", thinking, signature: "" }));
const said = (role: string, ...blocks: readonly fc.Arbitrary<unknown>[]) =>
  object({ role: is(role), content: fc.oneof(word, listOf(...blocks)) }, "role", "content");

const summary = word.map((each) => ({ type: "reasoning", summary: [{ type: "summary_text", text: each }] }));
const call = { id: "a", type: "function", function: { name: "f", arguments: "{}" } };
const assistant = { role: is("assistant"), content: fc.oneof(word, listOf(text, textOf("refusal", "refusal"))) };
const outputs = fc.oneof(word, listOf(textOf("input_text")));
const output = fc.record({ type: is("function_call_output"), call_id: is("a"), output: outputs });

/** Requests whose texts are cut anywhere, by wire. */
const REQUESTS: Readonly<Record<ProtocolWire, fc.Arbitrary<JsonObject>>> = {
  messages: fc.record({
    system: fc.oneof(word, listOf(text)),
    messages: listOf(said("user", text, BLANK, DOCUMENT, SEARCH_RESULT, RESULT), said("assistant", text, THINKING)),
  }),
  chat: fc.record({
    messages: listOf(
      said("user", text, BLANK),
      said("system", text, BLANK),
      object({ role: is("tool"), tool_call_id: is("a"), content: word }, "role", "tool_call_id", "content"),
      object({ ...assistant, refusal: word, reasoning_content: word, tool_calls: is([call]) }, "role"),
    ),
  }),
  responses: fc.record({
    instructions: word,
    input: listOf(
      said("user", textOf("input_text"), is({ type: "input_text", text: " " })),
      said("developer", textOf("input_text")),
      output,
      summary,
      said("assistant", textOf("output_text"), textOf("refusal", "refusal")),
    ),
  }),
};

const SEVERAL = Object.keys(REQUESTS) as ProtocolWire[];
const PAIRS = SEVERAL.flatMap((from) => SEVERAL.flatMap((to) => (from === to ? [] : [[from, to] as const])));

/** True if a pattern matches the content of a request. @param isSent true to read the parts only as they are written */
async function isBlocked(rules: GuardRules, wire: ProtocolWire, body: JsonObject, isSent: boolean): Promise<boolean> {
  const { ordersOf, ...places } = TRANSLATED_WIRES[wire].content.request;
  const guard = {
    rules,
    shadowRules: undefined,
    work: new Work(),
    shadowWork: new Work(),
    places: isSent || ordersOf === undefined ? places : { ...places, ordersOf },
    onRedactions: () => {},
    onShadowMatch: () => {},
  };
  return (await judgeContent(guard, JSON.stringify(body), false)).blocked !== undefined;
}

function translated(from: ProtocolWire, to: ProtocolWire, body: JsonObject): JsonObject | undefined {
  try {
    return translateRequest(from, to, body, { model: "m", outputTokensMax: 50 }).body;
  } catch (error) {
    if (error instanceof Untranslatable) return undefined;
    throw error;
  }
}

it.each(PAIRS)("no translation joins what the guard has judged apart: %s to %s", async (from, to) => {
  const rules = await compileRules([{ name: "word", pattern: "secret", action: "block" as const, bindingId: "b" }]);
  await fc.assert(
    fc.asyncProperty(REQUESTS[from], async (body) => {
      const sent = translated(from, to, body);
      fc.pre(sent !== undefined && !(await isBlocked(rules, from, body, false)));
      expect(await isBlocked(rules, to, sent ?? {}, true)).toBe(false);
    }),
    { numRuns: 400 },
  );
});
