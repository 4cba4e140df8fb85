import fc from "fast-check";
import { countTokens as countCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import { beforeAll, describe, expect, it } from "vitest";
import { loadVocabulary } from "../../clients/load-vocabulary.ts";
import type { BytePairs } from "./byte-pairs.ts";

const PLAIN = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
const REFERENCES = { o200k_base: countO200k, cl100k_base: countCl100k };

describe.each(["o200k_base", "cl100k_base"] as const)("the counter of %s", (name) => {
  let pairs: BytePairs;
  const real = (text: string) => REFERENCES[name](text, PLAIN);

  beforeAll(async () => {
    pairs = await loadVocabulary(name);
  });

  it.each([
    "",
    "a",
    "Hello, world! It's 2026-11-29, don't WAIT.",
    "function f(x) {\n\treturn x === 1 ? [] : { x };\n}",
    '{"ключ":"värde","中文":[1.25,true,null]}',
    "\u{1f468}\u200d\u{1f469}\u200d\u{1f467} 한국어 ภาษาไทย हिन्दी",
    " \n\n   \t x",
    "<|endoftext|> and <|im_start|>",
  ])("counts what the reference counts: %j", (text) => {
    expect(pairs.count(text)).toBe(real(text));
  });

  it("counts what the reference counts for any text that needs no cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        expect(pairs.count(text)).toBe(real(text));
      }),
      { numRuns: 500 },
    );
  });

  it("never counts less than the reference where a text is cut, and hardly more", () => {
    const unit = fc.array(fc.constantFrom(...Array.from("abeEtZ \n-=._'/0中文字한é"), "\u{1f44d}\u{1f3fd}"), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(unit, fc.integer({ min: 300, max: 4_000 }), (units, length) => {
        const text = units.join("").repeat(length).slice(0, length).toWellFormed();
        const [counted, exact] = [pairs.count(text), real(text)];
        expect(counted).toBeGreaterThanOrEqual(exact);
        // Each cut of 512 bytes adds two tokens, and can change as many.
        expect(counted).toBeLessThanOrEqual(exact + 5 * Math.ceil(Buffer.byteLength(text) / 512));
      }),
      { numRuns: 100 },
    );
  });

  it("never counts less over the end of a stretch, wherever that cuts a word", () => {
    const sentence = "The limit that frees last is named, because after it the request fits: ünïcödé, 中文, 12345. ";
    for (let offset = 0; offset < 12; offset++) {
      const text = "x".repeat(offset) + sentence.repeat(400);
      expect(pairs.count(text)).toBeGreaterThanOrEqual(real(text));
      expect(pairs.count(text)).toBeLessThanOrEqual(real(text) + 10);
    }
  });
});
