import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundResult } from "./bound-result.ts";

describe("a result", () => {
  it("is unchanged within the bounds", () => {
    const json = fc.jsonValue({ maxDepth: 5, stringUnit: fc.constantFrom("a", "Z", " ", "0", "-", "/") });
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z_]{1,20}$/), json), (value) => {
        expect(boundResult(value)).toEqual(value);
      }),
    );
  });

  it("has at most 100 elements in a list, and says which lists were cut", () => {
    const rows = Array.from({ length: 250 }, (_, id) => ({ id }));
    const result = boundResult({ data: rows, inner: { list: rows.slice(0, 101) }, next_page_token: null });
    expect(result).toMatchObject({ data: rows.slice(0, 100), inner: { list: rows.slice(0, 100) } });
    expect(result["omitted"]).toEqual([
      { list: "data", count: 150 },
      { list: "inner.list", count: 1 },
    ]);
  });

  it("has at most 1,000 characters in a text, and no half of one", () => {
    expect(boundResult({ name: "n".repeat(1_001) })).toEqual({ name: `${"n".repeat(1_000)}…` });
    expect(boundResult({ name: `a${"😀".repeat(500)}` })).toEqual({ name: `a${"😀".repeat(499)}…` });
  });

  it("shows characters that control a terminal or reorder text", () => {
    const hostile = { "\u001b[2J": "\u001b[31mred\u202e\r\n" };
    expect(boundResult(hostile)).toEqual({ "\\u001b[2J": "\\u001b[31mred\\u202e\\u000d\\u000a" });
  });

  it("has a bounded depth", () => {
    let deep: unknown = "end";
    for (let depth = 0; depth < 10_000; depth++) deep = [deep];
    expect(JSON.stringify(boundResult({ deep })).length).toBeLessThan(100);
  });
});
