import { compileRules, Work } from "@routeplane/guardrails";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRequest } from "../request/parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { Refusal } from "../errors/refusal.ts";
import { type ContentGuard, judgeContent } from "./content-guard.ts";
import type { TextPlaces } from "../wires/content-format.ts";
import { isSeparateAnswer, passesAtOnce } from "./separate-texts.ts";

/** Guard with these patterns, enforced and in shadow mode, that keeps what it finds. */
async function guardWith(patterns: readonly string[], places: TextPlaces, shadows: readonly string[] = []) {
  const compiled = async (list: readonly string[]) => {
    const rules = list.map((pattern) => ({ name: pattern, pattern, action: "redact" as const, bindingId: "bnd_1" }));
    return list.length === 0 ? undefined : compileRules(rules);
  };
  const found: string[] = [];
  const guard: ContentGuard = {
    rules: await compiled(patterns),
    shadowRules: await compiled(shadows),
    work: new Work(),
    shadowWork: new Work(),
    places,
    onRedactions: (redactions) => redactions.forEach(({ pattern, count }) => found.push(`${pattern.name} ${count}`)),
    onShadowMatch: ({ name }) => void found.push(`shadow ${name}`),
  };
  return { guard, found };
}

const parsed = (json: string) => parseRequest(CHAT, Buffer.from(json), new AbortController().signal);

/** Judges a document at once where that is possible, and text by text. @returns both judgements, and true if it passed at once */
async function judgedTwice(isAnswer: boolean, json: string, ...rules: readonly (readonly string[])[]) {
  const [patterns = [], shadows = []] = rules;
  const places = isAnswer ? CHAT.content.answer : CHAT.content.request;
  const isSeparate = isAnswer ? isSeparateAnswer(json) : (await parsed(json)).hasSeparateTexts;
  const judge = async (mayPassAtOnce: boolean) => {
    const { guard, found } = await guardWith(patterns, places, shadows);
    return { judged: await judgeContent(guard, json, mayPassAtOnce), found };
  };
  const { guard } = await guardWith(patterns, places, shadows);
  const isAtOnce = isSeparate && passesAtOnce(guard, json);
  return { atOnce: await judge(isSeparate), eachText: await judge(false), isAtOnce };
}

const ask = (...messages: readonly object[]) => JSON.stringify({ model: "m", max_tokens: 16, messages });
const user = (content: unknown) => ({ role: "user", content });
const answer = (message: object, choice: object = {}, more: object = {}) =>
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...choice }],
    usage: { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 },
    ...more,
  });

const IN_BASE64 = btoa("there is a secret in this text");
const MEDIA = `{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{"a":"data:text/plain;base64,${IN_BASE64}"}}`;
const SECRET = "secret";
const WORD = String.raw`\bsecret\b`;
const EDGE = "^secret";
const NUMBER = String.raw`\b1234500000\b`;

describe("a document that is judged at once", () => {
  it("passes if no pattern matches anywhere", async () => {
    for (const [isAnswer, json] of [
      [false, ask(user("Say hello."))],
      [
        false,
        ask({ role: "system", content: 'Be\n\t"brief".' }, user("Hi"), { role: "assistant", content: "Ho" }, user("?")),
      ],
      [true, answer({ content: "Hello.\nWorld." }, { logprobs: null })],
      [true, answer({ content: "Hello.", annotations: [], refusal: null })],
    ] as const) {
      const { isAtOnce, atOnce, eachText } = await judgedTwice(isAnswer, json, [SECRET, WORD, NUMBER], [WORD]);
      expect(isAtOnce, json).toBe(true);
      expect(atOnce).toEqual(eachText);
    }
  });

  it.each<readonly [string, boolean, string, string]>([
    [
      "parts of a message",
      false,
      ask(
        user([
          { type: "text", text: "sec" },
          { type: "text", text: "ret" },
        ]),
      ),
      SECRET,
    ],
    [
      "a list of a message",
      false,
      ask({ ...user("x"), reasoning_details: [{ text: "sec" }, { text: "ret" }] }),
      SECRET,
    ],
    ["messages of one role", false, ask(user("sec"), user("ret")), SECRET],
    [
      "roles that are one",
      false,
      ask({ role: "system", content: "sec" }, { role: "Developer", content: "ret" }),
      SECRET,
    ],
    ["messages around an empty one", false, ask(user("sec"), { role: "assistant", content: "" }, user("ret")), SECRET],
    ["an edge", false, ask(user("secret")), EDGE],
    [
      "a number",
      false,
      '{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{"a":1.2345e9}}',
      String.raw`\b1234500000\b`,
    ],
    ["an escape", false, String.raw`{"model":"m","messages":[{"role":"user","content":"se\u0063ret"}]}`, SECRET],
    [
      "an escape within an escape",
      false,
      String.raw`{"model":"m","messages":[{"role":"user","content":"se\\u0063ret"}]}`,
      SECRET,
    ],
    ["a line", false, ask(user("a\nsecret\nb")), WORD],
    ["another form", false, ask(user("ｓecret")), SECRET],
    ["media", false, MEDIA, SECRET],
    [
      "a prediction",
      false,
      '{"model":"m","messages":[{"role":"user","content":"x"}],"prediction":{"content":["sec","ret"]}}',
      SECRET,
    ],
    [
      "choices of a request",
      false,
      '{"model":"m","messages":[{"role":"user","content":"x"}],"choices":[{"message":{"x":["sec","ret"]}}]}',
      SECRET,
    ],
    [
      "parts of an answer",
      true,
      answer({
        content: [
          { type: "text", text: "sec" },
          { type: "text", text: "ret" },
        ],
      }),
      SECRET,
    ],
    ["members of an answer's content", true, answer({ content: { text: "sec", refusal: "ret" } }), SECRET],
    ["a list of an answer", true, answer({ content: "x", thoughts: ["sec", "ret"] }), SECRET],
    [
      "a member given twice",
      true,
      answer({ content: "x" }).replace('"content"', '"content":"sec","content":"ret","x"'),
      SECRET,
    ],
    ["media of an answer", true, answer({ content: "x", audio: { data: IN_BASE64 } }), SECRET],
    ["a prediction of an answer", true, '{"choices":[],"prediction":{"x":["sec","ret"]}}', SECRET],
    ["tokens of an answer", true, answer({ content: "x" }, { logprobs: { token: "x" } }), "y"],
    ["token ids of an answer", true, answer({ content: "x" }, { token_ids: { a: 1 } }), "y"],
  ])("is judged text by text where a match is hidden by %s", async (_, isAnswer, json, pattern) => {
    for (const rules of [[[pattern]], [[pattern], [pattern]], [[], [pattern]]]) {
      const { isAtOnce, atOnce, eachText } = await judgedTwice(isAnswer, json, ...rules);
      expect(atOnce).toEqual(eachText);
      const isFound = eachText.found.length + eachText.judged.edits.length > 0;
      // Tokens are taken out by enforced rules alone.
      expect(isFound || rules[0]?.length === 0).toBe(true);
      expect(isAtOnce).toBe(false);
    }
  });

  it("is judged the same as text by text", async () => {
    const patterns = [
      SECRET,
      WORD,
      EDGE,
      "ret$",
      "(?i)CRET",
      String.raw`\d{3}`,
      String.raw`t\s+s`,
      "12",
      "[^a-z]x",
      "ab",
    ];
    const word = fc.constantFrom(
      "sec",
      "ret",
      "secret",
      "x",
      " ",
      "\n",
      "12",
      "3",
      '"',
      "\\",
      "é",
      "data:,",
      "a",
      "b",
      "",
      "t",
      "s",
    );
    const text = fc.array(word, { maxLength: 5 }).map((words) => words.join(""));
    const value = fc.oneof(text, fc.constantFrom(null, 12, 1.25e21, 123), fc.array(text, { maxLength: 2 }));
    const name = fc.constantFrom("content", "text", "x", "secret", "refusal", "reasoning", "image", "prediction");
    const member = fc.dictionary(name, fc.oneof(value, fc.dictionary(name, value, { maxKeys: 2 })), { maxKeys: 2 });
    const role = fc.constantFrom("user", "assistant", "system", "developer", "secret");
    const message = fc.oneof({ weight: 3, arbitrary: fc.record({ role, content: text }) }, member);
    const request = fc
      .tuple(fc.array(message, { minLength: 1, maxLength: 3 }), member)
      .map(([messages, more]) => Object.assign({ model: "m" }, more, { messages }));
    const response = fc
      .tuple(fc.array(message, { maxLength: 2 }), member)
      .map(([messages, more]) => Object.assign({}, more, { choices: messages.map((choice) => ({ message: choice })) }));
    let passed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        request,
        response,
        fc.subarray(patterns, { minLength: 1, maxLength: 3 }),
        fc.subarray(patterns, { maxLength: 1 }),
        async (isAnswer, asked, answered, enforced, shadows) => {
          const json = JSON.stringify(isAnswer ? answered : asked);
          if (!isAnswer && (await parsed(json).catch((error: unknown) => error)) instanceof Refusal) return;
          const { isAtOnce, atOnce, eachText } = await judgedTwice(isAnswer, json, enforced, shadows);
          if (isAtOnce) passed++;
          expect(atOnce, json).toEqual(eachText);
        },
      ),
      { numRuns: 400 },
    );
    expect(passed).toBeGreaterThan(20);
  });
});
