import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonTooComplex, MAX_JSON_DEPTH, MAX_REQUEST_VALUES, parseJson, parseLargeJson } from "./json.ts";

const NEVER = new AbortController().signal;
const parse = (text: string) => parseLargeJson(text, MAX_REQUEST_VALUES, NEVER);
const many = (unit: string): string => `[${Array.from({ length: MAX_REQUEST_VALUES }, () => unit).join(",")}]`;
const within = (levels: number, open: string, close: string): string =>
  `${open.repeat(levels)}1${close.repeat(levels)}`;

describe("JSON from outside", () => {
  it("is what JSON.parse makes of it, and is refused where JSON.parse refuses it", async () => {
    const texts = fc.oneof(
      fc.json({ stringUnit: "binary" }),
      fc.json().map((json) => json.slice(1)),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          await expect(parse(text)).rejects.toThrow(SyntaxError);
          expect(() => parseJson(text, MAX_REQUEST_VALUES)).toThrow(SyntaxError);
          return;
        }
        expect(await parse(text)).toEqual(expected);
        expect(parseJson(text, MAX_REQUEST_VALUES)).toEqual(expected);
      }),
    );
  });

  it.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
  ])("may be nested up to the bound, and not deeper, in %s", async (_, open, close) => {
    expect(await parse(within(MAX_JSON_DEPTH, open, close))).toBeDefined();
    for (const levels of [MAX_JSON_DEPTH + 1, 20_000, 1_000_000]) {
      await expect(parse(within(levels, open, close))).rejects.toThrow("is nested deeper than 64 levels");
    }
  });

  it("has a depth that neither the contents of strings nor sibling values add to", async () => {
    const text = JSON.stringify({ "[[{": `${"[".repeat(1_000)}\\"{`, list: Array.from({ length: 1_000 }, () => [{}]) });
    expect(await parse(text)).toEqual(JSON.parse(text));
  });

  it.each(["[]", "{}", "1", "-1.5e3", '""', '"\\""', "null", '{"a":1}', "[[[]]]", " true "])(
    "may have values and names of members up to the bound, and no more: %s",
    async (unit) => {
      await expect(parse(many(unit))).rejects.toThrow("has more than 100000 values and names of members");
      const few = `[${Array.from({ length: 20_000 }, () => unit).join()}]`;
      expect(await parse(few)).toHaveLength(20_000);
    },
  );

  it("yields to the event loop while it is long", async () => {
    let turns = 0;
    const others = setInterval(() => turns++, 0);
    await parse(`"${"\\u0041 ".repeat(1_000_000)}"   ${" ".repeat(5_000_000)}`);
    clearInterval(others);
    expect(turns).toBeGreaterThan(1);
  });

  it("is read no further once its signal is aborted", async () => {
    const controller = new AbortController();
    const parsing = parseLargeJson(" ".repeat(10_000_000), MAX_REQUEST_VALUES, controller.signal);
    controller.abort(new Error("gone"));
    await expect(parsing).rejects.toThrow("gone");
  });

  it("names the bound that it is beyond", () => {
    expect(() => parseJson("[".repeat(65), 9)).toThrow(JsonTooComplex);
  });
});
