import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldEscapedStretches } from "./escapes.ts";
import { compileRules, type TextPattern } from "./compile-rules.ts";
import { REDACTED } from "./spec.ts";
import { judgeText, TextFilter } from "./text-filter.ts";
import { Work } from "./work.ts";

const redacting = (pattern: string): TextPattern => ({ pattern, action: "redact" });
const rules = compileRules([redacting("secret"), redacting(String.raw`top\s+key`), redacting("😀!")]);

async function inPieces(pieces: readonly string[]): Promise<string> {
  const filter = new TextFilter(await rules, new Work());
  let output = "";
  for (const piece of pieces) output += await filter.push(piece);
  return output + filter.end();
}

const TEXTS: Readonly<Record<string, readonly [text: string, passed: string]>> = {
  "an escaped letter": [String.raw`{"a":"\u0073ecret"}`, `{"a":"${REDACTED}"}`],
  "escapes alone": [String.raw`{"\u0073\u0065\u0063\u0072\u0065\u0074":1}`, `{"${REDACTED}":1}`],
  "hexadecimal digits of both cases": [
    String.raw`\u006Bey se\u0063ret top \u006bey`,
    String.raw`\u006Bey ${REDACTED} ${REDACTED}`,
  ],
  "an escape of a hidden character": [String.raw`se\u200bcret`, REDACTED],
  "an escape of a full-width letter": [String.raw`\uff53ecret`, REDACTED],
  "an escaped surrogate pair": [String.raw`a \ud83d\ude00!`, `a ${REDACTED}`],
  "white space that is escaped": [
    String.raw`{"a":"top\nkey","b":"top\t \u0020key"}`,
    `{"a":"${REDACTED}","b":"${REDACTED}"}`,
  ],
  "a word behind a backslash that is no escape": [String.raw`C:\necret top\secret`, `C:\\necret top\\${REDACTED}`],
  "a full-width word behind a backslash": ["\\bｓｅｃｒｅｔ \\ｓｅｃｒｅｔ", `\\b${REDACTED} \\${REDACTED}`],
  "an escaped backslash in front of what looks like an escape": [String.raw`\\u0073ecret`, String.raw`\\u0073ecret`],
  "an escape that is none": [String.raw`\u00g3ecret \x73ecret \u007`, String.raw`\u00g3ecret \x73ecret \u007`],
};

describe("a text with JSON escapes", () => {
  it.each(Object.entries(TEXTS))("is judged with its escapes decoded: %s", async (_, [text, passed]) => {
    expect((await judgeText(await rules, text, new Work())).text).toBe(passed);
    expect(await inPieces(text.split(""))).toBe(passed);
    for (let at = 1; at < text.length; at++) expect(await inPieces([text.slice(0, at), text.slice(at)])).toBe(passed);
  });

  it("gives the same result in pieces as a whole", async () => {
    const unit = fc.constantFrom("\\", "u00", "73", "n", "s", "ecret", "top", "key", " ", "ｓ", "\u200b", '"', "é");
    const places = fc.array(fc.nat(), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(unit, { maxLength: 16 }), places, async (units, places) => {
        const text = units.join("");
        const { text: passed } = await judgeText(await rules, text, new Work());
        const cuts = [0, ...places.map((place) => place % (text.length + 1)), text.length].toSorted((a, b) => a - b);
        expect(await inPieces(cuts.slice(1).map((end, index) => text.slice(cuts[index], end)))).toBe(passed);
      }),
      { numRuns: 500 },
    );
  });

  it("maps every character of the original", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("\\", "\\u0061", "\\ud83d", "\\ude00", "a", "ａ", "\u0301")), (units) => {
        const text = units.join("");
        const stretches = foldEscapedStretches(text, new Work());
        if (stretches === undefined) return;
        expect(stretches.reduce((sum, { width }) => sum + width, 0)).toBe(text.length);
        for (const { same, folded, width } of stretches) if (same) expect(folded.length).toBe(width);
      }),
    );
  });

  it("is not held back if nothing can match", async () => {
    const filter = new TextFilter(await rules, new Work());
    for (const piece of [String.raw`{"a":"b\n`, String.raw`c\u00e9`, String.raw`d\"`, "}"])
      expect(await filter.push(piece)).toBe(piece);
  });
});
