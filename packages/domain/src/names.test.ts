import { describe, expect, it } from "vitest";
import { foldName, nameFault } from "./names.ts";

/** Characters that are invisible by themselves, by code point. */
const UNSEEN = [
  0x20, 0xa0, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x2000, 0x200b, 0x200c, 0x200d,
  0x200e, 0x202a, 0x202e, 0x2028, 0x2060, 0x2064, 0x2066, 0x206f, 0x2800, 0x3000, 0x3164, 0xfe00, 0xfe0f, 0xfeff,
  0xffa0, 0xfff9, 0xfffc, 0x1d159, 0x1d173, 0xe0001, 0xe0020, 0xe0100,
];

describe("nameFault", () => {
  it.each(UNSEEN.map((codePoint) => [codePoint.toString(16), String.fromCodePoint(codePoint)]))(
    "refuses U+%s alone, repeated and with other invisible characters, as blank",
    (_, unseen) => {
      for (const name of [unseen, unseen.repeat(40), ` ${unseen}\u200B`]) {
        expect(nameFault(name)).toMatch(/^must not (be blank|hold control characters)$/);
      }
      expect(nameFault(`a${unseen}`)).toBeUndefined();
    },
  );

  it("refuses control characters", () => {
    for (const name of ["a\nb", "\t", "a\u0085b", "\u007F"])
      expect(nameFault(name)).toBe("must not hold control characters");
  });

  it.each(["a", "é", "e\u0301", "日本", "한", "ᄀ", "👍🏽", "#", "١", "ไทย", "नमस्ते", "—", "\u200Ba"])(
    "accepts %j",
    (name) => {
      expect(nameFault(name)).toBeUndefined();
    },
  );
});

describe("foldName", () => {
  it.each([
    ["Daily Cap", "DAILY CAP"],
    ["caf\u00E9", "CAFE\u0301"],
    ["straße", "STRASSE"],
    ["ΟΔΟΣ", "οδος"],
    ["ΟΔΟΣ", "οδοσ"],
    ["ı", "I"],
    ["İ", "i\u0307"],
    ["ﬁ", "FI"],
    ["Å", "\u212B"],
  ])("makes %j and %j equal", (left, right) => expect(foldName(left)).toBe(foldName(right)));

  it.each([
    ["a", "b"],
    ["a", "á"],
    ["a", "а"],
    ["cap", "cap 2"],
    ["①", "1"],
  ])("keeps %j and %j apart", (left, right) => expect(foldName(left)).not.toBe(foldName(right)));
});
