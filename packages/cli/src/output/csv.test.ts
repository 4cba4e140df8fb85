import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csvLine } from "./csv.ts";

/** Parses one line of CSV by RFC 4180. */
function cellsOf(line: string): readonly string[] {
  const cells = [...`,${line.slice(0, -2)}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^",]*))/g)];
  return cells.map(([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain);
}

describe("a line of CSV", () => {
  it("has null as an empty cell, numbers and booleans unchanged, and lists as JSON", () => {
    expect(csvLine(["a", null, undefined, -1.5, 0, true, [{ rule: "budget" }], []])).toBe(
      'a,,,-1.5,0,true,"[{""rule"":""budget""}]",[]\r\n',
    );
  });

  it.each([
    ["=1+1"],
    ["+1"],
    ["-1"],
    ["@SUM(A1)"],
    ["\t=1"],
    ["\r=1"],
    ["\n=1"],
    ["\ttext"],
    ["\rtext"],
    ["  =1"],
    ["\ufeff=1"],
    ["\u00a0=1"],
    ["\u200b=1"],
    ["\0=1"],
    ["\u3000@x"],
    ["＝1+1"],
    ["＋1"],
    ["－1"],
    ["＠x"],
    ["﹣1"],
    ["\u22121"],
    ['"=1'],
    ["'=1"],
    ['=HYPERLINK("http://evil.example","a,b")'],
    ["=cmd|' /C calc'!A0"],
  ])("makes %j text for a spreadsheet", (text) => {
    const [cell = ""] = cellsOf(csvLine([text]));
    expect(cell.startsWith("'")).toBe(true);
    expect(cell.slice(1)).toBe(text.replaceAll("\0", "\ufffd"));
  });

  it.each([["gpt-4o-mini"], ["a=b"], ["1-2"], ["user@example.org"], ["[]"], ["漢字"], ["it's"], [""]])(
    "does not change %j",
    (text) => {
      expect(csvLine([text])).toBe(`${text}\r\n`);
    },
  );

  it("keeps a line break within its cell, and starts no formula where another character separates cells", () => {
    expect(csvLine(["a\r\nb", "c;=1", "d\t @x", "e; f-g"])).toBe(`"a\r\nb","c;'=1","d\t '@x","e; f-g"\r\n`);
  });

  it("round-trips every text, except control characters and formulas", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 30 }).filter((each) => !/[\p{Cc};]/u.test(each));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), (texts) => {
        expect(cellsOf(csvLine(texts)).map((cell) => cell.replace(/^'/, ""))).toEqual(texts);
      }),
    );
  });
});
