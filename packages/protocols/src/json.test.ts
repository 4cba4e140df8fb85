import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isObject, parseExactly } from "./json.ts";

describe("parseExactly", () => {
  it("keeps numbers that a JavaScript number cannot represent, at any position", () => {
    const text =
      '{"id":12345678901234567890,"list":[0.12345678901234567890,1e400,-1.50e-7],"text":"12345678901234567890"}';
    expect(JSON.stringify(parseExactly(text))).toBe(text);
  });

  it("keeps a member named __proto__ as a member", () => {
    const text = '{"__proto__":{"a":12345678901234567890}}';
    const value = parseExactly(text);
    expect(JSON.stringify(value)).toBe(text);
    expect(isObject(value) && Object.hasOwn(value, "__proto__")).toBe(true);
  });

  it("reads all other JSON as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.parse(JSON.stringify(parseExactly(text)))).toEqual(JSON.parse(text));
      }),
    );
  });
});
