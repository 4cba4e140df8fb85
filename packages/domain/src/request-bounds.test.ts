import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printableText } from "./request-bounds.ts";

describe("printableText", () => {
  it.each([
    ["a line\r\nand\tanother", "a line and another"],
    ["nul\0 and escape\u001b[31m", "nul and escape [31m"],
    ["left\u202eright", "left right"],
    ["\ufeff trimmed \n", "trimmed"],
    ["half \ud83d", "half"],
    ["漢字 😀", "漢字 😀"],
  ])("makes %j printable", (text, printable) => {
    expect(printableText(text, 100)).toBe(printable);
  });

  it("keeps within its bound, without halves of characters, for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (text, max) => {
        const printable = printableText(text, max);
        expect(printable.length).toBeLessThanOrEqual(max);
        expect(printable.isWellFormed()).toBe(true);
        expect(printable).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
