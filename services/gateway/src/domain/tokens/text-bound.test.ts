import fc from "fast-check";
import { countTokens as countCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import { boundText, boundTexts } from "./text-bound.ts";
import { COMMON_WORDS, SINGLE_CHARACTERS } from "./text-classes.ts";

const PLAIN = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
const countsOf = (text: string) => [countO200k(text, PLAIN), countCl100k(text, PLAIN)];
/** Largest count of the text and of its normal form, which some vocabularies are for. */
const realOf = (text: string) => Math.max(...countsOf(text), ...countsOf(text.normalize("NFKC")));

const words = COMMON_WORDS.trim().split(/\s+/);
const within = (first: number, last: number) =>
  fc.integer({ min: first, max: last }).map((code) => String.fromCodePoint(code));
const among = (characters: string) => fc.constantFrom(...Array.from(characters));

/** Parts of which texts are made, each hard on one class of the bound. */
const PARTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  "lower-case letters": within(0x61, 0x7a),
  "letters of both cases": fc.oneof(within(0x41, 0x5a), within(0x61, 0x7a), among(" '\n")),
  "common words": fc.tuple(fc.constantFrom("", " ", "  "), fc.constantFrom(...words)).map((both) => both.join("")),
  "words within others": fc.tuple(fc.constantFrom(...words), among("'sxqZ-_. \n")).map((both) => both.join("")),
  "characters that are one token": among(SINGLE_CHARACTERS.replace(/\s/g, "")),
  "one of them behind spaces": fc
    .tuple(fc.constantFrom(" ", "  ", "   "), among(SINGLE_CHARACTERS.replace(/\s/g, "")))
    .map((both) => both.join("")),
  punctuation: among("{}[]()\"',.;:/\\|<>?!@#$%^&*-_=+`~ \n\t\r"),
  "white space": fc.constantFrom(" ", "  ", "        ", "\n", "\r\n", "\t", "a", "\u00a0", "\u3000"),
  digits: within(0x30, 0x39),
  "printable ASCII": within(0x20, 0x7e),
  "Chinese characters": within(0x4e00, 0x9fff),
  "Korean syllables": within(0xac00, 0xd7a3),
  Devanagari: within(0x900, 0x97f),
  Thai: within(0xe00, 0xe5b),
  Arabic: within(0x600, 0x6ff),
  Cyrillic: within(0x400, 0x4ff),
  emoji: fc.constantFrom(
    "\u{1f600}",
    "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
    "\u{1f44d}\u{1f3fd}",
    "\u2764\ufe0f",
    "a",
  ),
  "characters that NFKC makes longer": fc.oneof(
    within(0xfb50, 0xfdff),
    within(0x2000, 0x33ff),
    within(0x1d100, 0x1d1ff),
    within(0x1f100, 0x1f2ff),
  ),
  "any character": fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
};

describe("the bound of a text without its vocabulary", () => {
  it.each(Object.entries(PARTS))("is never less than o200k_base and cl100k_base count: %s", (_, part) => {
    const text = fc.array(part, { maxLength: 60 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (sample) => {
        expect(boundText(sample)).toBeGreaterThanOrEqual(realOf(sample));
      }),
      { numRuns: 300 },
    );
  });

  it("is never less for texts of all of them", () => {
    const text = fc.array(fc.oneof(...Object.values(PARTS)), { maxLength: 80 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (sample) => {
        expect(boundText(sample)).toBeGreaterThanOrEqual(realOf(sample));
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not count a word that is cut after an apostrophe as a common word", () => {
    expect(boundText("'stream")).toBeGreaterThan(boundText("-stream"));
    expect(boundText("'stream".repeat(50)) / 50).toBeGreaterThanOrEqual(3);
  });

  it("is at most 2.5 times the count of English", () => {
    const text = `A request is refused if its bound does not fit under a limit. The limit that frees last is named, because
      after it the request fits under all others. Waiting does not help where even an empty window is too small.`;
    expect(boundText(text.repeat(20)) / realOf(text.repeat(20))).toBeLessThan(2.5);
  });

  it("is the number of bytes for texts that are too long to be classified at once", () => {
    const long = "é".repeat(100_000);
    expect(boundTexts([long, "é"])).toBe(200_000 + boundText("é"));
    expect(boundTexts([])).toBe(0);
    const ligatures = "\ufdfa".repeat(10_000);
    expect(boundTexts([ligatures])).toBe(Buffer.byteLength(ligatures.normalize("NFKC")));
  });
});
