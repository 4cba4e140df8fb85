import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyEdits, jsonTexts } from "./json-texts.ts";

const texts = (json: string, opaque?: ReadonlySet<string>) =>
  [...jsonTexts(json, opaque)].flatMap((each) => each ?? []);

/** The strings of a parsed value with their paths, the slow way. */
function stringsIn(value: unknown, path: readonly (string | number)[] = []): [readonly (string | number)[], string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  const entries = Array.isArray(value) ? value.map((each, index) => [index, each] as const) : Object.entries(value);
  return entries.flatMap(([step, each]) => stringsIn(each, [...path, step]));
}

describe("the texts of a JSON document", () => {
  it("are all its string values, each where it stands", () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: "binary" }), fc.boolean(), (compact, pretty) => {
        const json = pretty ? JSON.stringify(JSON.parse(compact), null, 2) : compact;
        const parsed: unknown = JSON.parse(json);
        const found = texts(json).map(({ path, start, end }) => [path, JSON.parse(json.slice(start, end)) as unknown]);
        // Members with numbers for names come in another order out of JSON.parse, and "__proto__" not at all.
        const inOrder = (all: readonly unknown[]) => all.map((each) => JSON.stringify(each)).toSorted();
        expect(inOrder(found)).toEqual(inOrder(stringsIn(parsed)));
      }),
    );
  });

  it("are those of duplicate members too", () => {
    expect(texts('{"a":"one","a":"two","b":[{"a":"three"}]}').map(({ place }) => place)).toEqual(["a", "a", "b[].a"]);
  });

  it("are not looked for where a value is wanted as a whole", () => {
    const json = '{"a":[{"logprobs":{"x":["y","}"]},"t":"z"},{"logprobs":null}]}';
    const found = texts(json, new Set(["a[].logprobs"]));
    expect(found.map(({ place, isString, start, end }) => [place, isString, json.slice(start, end)])).toEqual([
      ["a[].logprobs", false, '{"x":["y","}"]}'],
      ["a[].t", true, '"z"'],
    ]);
  });
});

describe("applyEdits", () => {
  it("changes what is to be changed, and no other byte", () => {
    const json = '{ "n":12345678901234567890, "a":"x" , "b":["y\\u0041"]}';
    const edits = texts(json)
      .filter(({ place }) => place === "a")
      .map(({ start, end }) => ({ start, end, literal: '"new"' }));
    expect(applyEdits(json, edits)).toBe('{ "n":12345678901234567890, "a":"new" , "b":["y\\u0041"]}');
  });
});
