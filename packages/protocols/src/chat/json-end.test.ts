import fc from "fast-check";
import { expect, it } from "vitest";
import { JsonEnd } from "./json-end.ts";

it("is complete at the end of an object and not before, however the object is cut", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.integer({ min: 1, max: 5 }), (value, size) => {
      const text = JSON.stringify(value);
      const end = new JsonEnd();
      expect(end.isWhole).toBe(false);
      for (let at = 0; at < text.length; at += size) {
        end.push(text.slice(at, at + size));
        expect(end.isWhole).toBe(at + size >= text.length);
      }
    }),
  );
});
