import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonRedactionWriter } from "./redaction-writer.ts";
import { compileRules } from "./compile-rules.ts";
import { REDACTED } from "./spec.ts";
import { judgeText, TextFilter } from "./text-filter.ts";
import { Work } from "./work.ts";

const rulesOf = (...patterns: readonly string[]) =>
  compileRules(patterns.map((pattern) => ({ pattern, action: "redact" as const })));
const rules = rulesOf(String.raw`\d{6,}`, "secret", String.raw`password\W+\S+`, "true", "(?s)0073.*!");

async function inPieces(pieces: readonly string[]): Promise<string> {
  const work = new Work();
  const filter = new TextFilter(await rules, work, new JsonRedactionWriter(work));
  let output = "";
  for (const piece of pieces) output += await filter.push(piece);
  return output + filter.end();
}

const R = REDACTED;
const TEXTS: Readonly<Record<string, readonly [text: string, passed: string]>> = {
  "a number": ['{"n":4111111111111111,"m":12345}', `{"n":"${R}","m":12345}`],
  "a part of a number": ["[-1234567.5e3, 1234567]", `["${R}", "${R}"]`],
  "a literal": ['{"a":true, "b":[false,true]}', `{"a":"${R}", "b":[false,"${R}"]}`],
  "a string, and a name": ['{"secret":"a secret b"}', `{"${R}":"a ${R} b"}`],
  "more than a string": ['{"password": "hunter2"}', `{"${R}": "${R}"}`],
  "the end of the text": ['{"x":"password: hunter2","y":1}', `{"x":"${R}","${R}":"${R}"}`],
  "half an escape": [String.raw`{"x":"\u0073ec!"}`, `{"x":"${R}"}`],
  "an escaped quote": [String.raw`{"x":"\"secret\\"}`, String.raw`{"x":"\"${R}\\"}`.replace("${R}", R)],
  "what is no JSON": ["a secret, 1234567", `a ${R}, ${R}`],
};

describe("redacted JSON", () => {
  it.each(Object.entries(TEXTS))("stays valid, whole and in pieces: %s", async (name, [text, passed]) => {
    expect((await judgeText(await rules, text, new Work(), new JsonRedactionWriter(new Work()))).text).toBe(passed);
    expect(await inPieces(text.split(""))).toBe(passed);
    for (let at = 1; at < text.length; at++) expect(await inPieces([text.slice(0, at), text.slice(at)])).toBe(passed);
    if (name !== "what is no JSON") expect(JSON.parse(passed)).toBeDefined();
  });

  it("stays valid in any pieces, and is unchanged if nothing matches", async () => {
    const word = fc.constantFrom("secret", "password: x", "a\\u0073", '"', "\n", "1234567", "é", "😀", "!", "0073");
    const text = fc.array(word, { maxLength: 4 }).map((words) => words.join(""));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.constantFrom(1, 1234567, -4.5e-9, true, null),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(text, tie("value"), { maxKeys: 3 }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(value),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        async (value, places, indented) => {
          const json = JSON.stringify(value, undefined, indented ? 2 : 0);
          const { text: passed, redactions } = await judgeText(
            await rules,
            json,
            new Work(),
            new JsonRedactionWriter(new Work()),
          );
          expect(JSON.parse(passed)).toBeDefined();
          if (redactions.length === 0) expect(passed).toBe(json);
          expect(passed).not.toMatch(/secret|\d{6}|true/);
          const cuts = [0, ...places.map((place) => place % (json.length + 1)), json.length].toSorted((a, b) => a - b);
          expect(await inPieces(cuts.slice(1).map((end, index) => json.slice(cuts[index], end)))).toBe(passed);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("keeps overlong tokens, which are not JSON, and redacts within them", async () => {
    const word = "abc".repeat(1_000);
    expect(await inPieces([word, " x ", word, "secret", word])).toBe(`${word} x ${word}${R}${word}`);
  });
});
