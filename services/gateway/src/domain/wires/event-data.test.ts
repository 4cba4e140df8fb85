import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isObject } from "../wire/json.ts";
import { countMembers, hasNoRepeatedMembers } from "./event-data.ts";

describe("members of one name", () => {
  it.each([
    ['{"a":1,"a":2}'],
    ['{"a":1,"a" :2}'],
    ['{"a":1,"a"\t\r\n :2}'],
    ['{"x":{"a":":","a":1}}'],
    ['{"x":[{"a":1,"\\u0061":2}]}'],
    ['{"__proto__":1,"__proto__":2}'],
  ])("are found in %j", (json) => {
    expect(hasNoRepeatedMembers(json, JSON.parse(json))).toBe(false);
  });

  it.each([["{}"], ['{"a":"b: c","b":[{"a":1},{"a":"x:"}]}'], ['{ "a" : { "b" : null } }']])(
    "are known not to be in %j",
    (json) => {
      expect(hasNoRepeatedMembers(json, JSON.parse(json))).toBe(true);
    },
  );

  it("are never missed, whatever is between them", () => {
    fc.assert(
      fc.property(fc.json(), fc.json(), fc.string(), (first, second, name) => {
        const key = JSON.stringify(name);
        const json = `{${key}:${first},${key}:${second}}`;
        const value: unknown = JSON.parse(json);
        if (!isObject(value)) throw new Error("unreachable: it is an object");
        expect(countMembers(value)).toBeGreaterThan(0);
        expect(hasNoRepeatedMembers(json, value)).toBe(false);
      }),
    );
  });
});
