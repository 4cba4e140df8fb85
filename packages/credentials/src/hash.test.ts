import { expect, it } from "vitest";
import { constantTimeEqual, hashSecret, parsePeppers } from "./hash.ts";

const hex = (byte: string) => byte.repeat(32);

it("hashes with the current pepper and still finds the older ones", () => {
  const peppers = parsePeppers(`b:${hex("bb")},a:${hex("aa")}`)!;
  expect(peppers.current.id).toBe("b");
  expect(hashSecret("s", peppers.current)).not.toEqual(hashSecret("s", peppers.find("a")!));
  expect(peppers.find("c")).toBeUndefined();
});

it.each(["", "a", "a:", "a:zz", `a:${"aa".repeat(31)}`, `a:${hex("aa")},a:${hex("bb")}`, `A:${hex("aa")}`])(
  "refuses %.12j as peppers",
  (text) => {
    expect(parsePeppers(text)).toBeUndefined();
  },
);

it("compares secrets of different lengths without throwing", () => {
  expect(constantTimeEqual("a", "ab")).toBe(false);
  expect(constantTimeEqual("ab", "ab")).toBe(true);
});
