import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeUtf8, withoutByteOrderMark } from "./request-text.ts";

const NEVER = new AbortController().signal;

describe("the text of a body", () => {
  it("is what its bytes are in UTF-8", async () => {
    const texts = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary-ascii" }));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        fc.pre(text.charCodeAt(0) !== 0 && text.charCodeAt(1) !== 0);
        expect(await decodeUtf8(Buffer.from(text), NEVER)).toBe(text);
      }),
    );
  });

  it.each(["é", "中", "😀"])(
    "is decoded in stretches, none of which ends within a character: %s",
    async (character) => {
      for (const before of ["", "x", "xx", "xxx"]) {
        const text = before + character.repeat(600_000);
        expect((await decodeUtf8(Buffer.from(text), NEVER)) === text).toBe(true);
      }
    },
  );

  it.each([
    ["a byte alone", Buffer.from([0x22, 0xff, 0x22])],
    ["an overlong form", Buffer.from([0xc0, 0xaf])],
    ["half a pair of surrogates", Buffer.from([0xed, 0xa0, 0x80])],
    ["a truncated character", Buffer.from([0x22, 0xe4, 0xb8])],
    ["bytes without a start, beyond a stretch", Buffer.alloc(1_500_000, 0x80)],
    ["Latin-1", Buffer.from('{"é":1}', "latin1")],
  ])("is refused where it is not UTF-8: %s", async (_, bytes) => {
    await expect(async () => decodeUtf8(bytes, NEVER)).rejects.toThrow(/^is not UTF-8$/);
  });

  const big = (text: string): Buffer => Buffer.from(text, "utf16le").swap16();
  it.each([
    ["UTF-16 with a mark", Buffer.from('\ufeff{"a":1}', "utf16le")],
    ["UTF-16", Buffer.from('{"a":1}', "utf16le")],
    ["UTF-16 with its other byte first", big('{"a":1}')],
    ["the same with a mark", big('\ufeff{"a":1}')],
    ["UTF-32", Buffer.from([0x7b, 0, 0, 0, 0x7d, 0, 0, 0])],
    ["UTF-32 with its other byte first", Buffer.from([0, 0, 0, 0x7b, 0, 0, 0, 0x7d])],
  ])("is refused by name in %s", async (_, bytes) => {
    await expect(async () => decodeUtf8(bytes, NEVER)).rejects.toThrow("is UTF-16 or UTF-32: send UTF-8");
  });

  it("has no byte order mark, and one that follows another stays", () => {
    const mark = Buffer.from("\ufeff");
    expect(withoutByteOrderMark(Buffer.concat([mark, Buffer.from("{}")])).toString()).toBe("{}");
    expect(withoutByteOrderMark(Buffer.concat([mark, mark]))).toEqual(mark);
    expect(withoutByteOrderMark(Buffer.from("{}")).toString()).toBe("{}");
  });
});
