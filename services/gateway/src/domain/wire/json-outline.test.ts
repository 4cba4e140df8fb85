import { parseExactly } from "@routeplane/protocols";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonTooComplex, MAX_JSON_DEPTH } from "./json.ts";
import { type JsonOutline, outlineJson } from "./json-outline.ts";

const MAX_VALUES = 1_000;

/** Runs an outline to its end. */
function outline(
  text: string,
  maxValues = MAX_VALUES,
  parse?: (text: string) => unknown,
): JsonOutline & { readonly turns: number } {
  const work = outlineJson(text, maxValues, parse);
  for (let turns = 1; ; turns++) {
    const { done, value } = work.next();
    if (done === true) return { ...value, turns };
  }
}

/** Strings of which some are long, and some have escapes. */
const strings = fc
  .tuple(fc.string({ unit: "binary", maxLength: 20 }), fc.nat(60))
  .map(([unit, times]) => unit.repeat(times));
const { tree } = fc.letrec<{ tree: unknown; leaf: unknown }>((tie) => ({
  leaf: fc.oneof(
    strings,
    strings,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(true, false, null),
  ),
  tree: fc.oneof(
    { maxDepth: 4 },
    tie("leaf"),
    fc.array(tie("tree"), { maxLength: 6 }),
    fc.dictionary(fc.oneof(strings, fc.constantFrom("__proto__", "a", "toString")), tie("tree"), { maxKeys: 6 }),
  ),
}));
/** JSON with blanks of all lengths, and the same with a fault of any kind somewhere. */
const texts = fc.tuple(tree, fc.nat(40)).map(([value, indent]) => {
  const blanks = " ".repeat(indent);
  // A line break stands between members only: that of a string is escaped.
  return JSON.stringify(value, undefined, Math.min(indent, 10)).replaceAll(",\n", `,${blanks}\t\n`);
});
const FAULTS = [
  "",
  "\n",
  "\0",
  "\u001f",
  '"',
  "\\",
  "\\u12",
  "\\x",
  ",",
  ":",
  "}",
  "]",
  "1 2",
  "\u00a0",
  "\ufeff",
  "0".repeat(30),
];
const faulty = fc
  .tuple(texts, fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(...FAULTS), fc.nat(5))
  .map(([text, part, fault, cut]) => {
    const at = Math.floor(part * text.length);
    return text.slice(0, at) + fault + text.slice(at + cut);
  });

describe("the outline of a JSON text", () => {
  it("has the value that JSON.parse makes of the text, and refuses what it refuses", () => {
    fc.assert(
      fc.property(fc.oneof(texts, faulty), (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(() => outline(text)).toThrow(SyntaxError);
          return;
        }
        expect(outline(text).value).toStrictEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is the same JSON, but for its long strings, and leads back to every position", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const { text: short, sourceOf = (at) => at } = outline(text);
        for (const { index } of short.matchAll(/[{}[\]](?=[^"]*$)/g)) expect(text[sourceOf(index)]).toBe(short[index]);
        expect(sourceOf(short.length)).toBe(text.length);
      }),
    );
  });

  it("leads from the ends of a long string to those of the text", () => {
    const long = "x\\n".repeat(500);
    const text = `{"a": "${long}" ,${" ".repeat(50)}"b":"${long}"}`;
    const { text: short, sourceOf = (at) => at } = outline(text);
    expect(short.length).toBeLessThan(150);
    const literals = [...short.matchAll(/"[^"]{20,}"/g)].map(({ index, 0: literal }) =>
      text.slice(sourceOf(index), sourceOf(index + literal.length)),
    );
    expect(literals).toEqual([`"${long}"`, `"${long}"`]);
  });

  it("yields within a long string, with escapes or without, within blanks, and puts every string in its place", () => {
    const million = 1_000_000;
    const strings = ["x".repeat(5 * million), "\n".repeat(5 * million), "\u4e2d".repeat(5 * million)];
    for (const value of strings) {
      const { value: read, turns } = outline(JSON.stringify({ value }));
      expect((read as { value: string }).value === value).toBe(true);
      expect(turns).toBeGreaterThan(5);
    }
    // Every place of a cut within escapes of six characters.
    const escaped = `"${"\\ud83d\\ude00".repeat(500_000)}"`;
    expect(outline(escaped).value === JSON.parse(escaped)).toBe(true);
    expect(outline(`[${" ".repeat(5 * million)}]`).turns).toBeGreaterThan(5);
  });

  it.each([
    ["levels", "[".repeat(MAX_JSON_DEPTH + 1), `nested deeper than ${MAX_JSON_DEPTH} levels`],
    ["values", `[${"1,".repeat(MAX_VALUES)}1]`, `more than ${MAX_VALUES} values`],
    ["digits", `[${"1".repeat(161 * MAX_VALUES)}]`, "more than 160000 characters beside its texts"],
    ["characters in names", `{"${"k".repeat(4_000_001)}":1}`, "more than 4000000 characters in long names"],
  ])("is refused for too many %s", (_, text, message) => {
    expect(() => outline(text)).toThrow(JsonTooComplex);
    expect(() => outline(text)).toThrow(message);
  });

  it("keeps numbers as its parser reads them", () => {
    const text = `{"n":12345678901234567890,"list":["${"a".repeat(200)}",1e400]}`;
    expect(JSON.stringify(outline(text, MAX_VALUES, parseExactly).value)).toBe(text);
  });
});
