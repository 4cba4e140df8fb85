import { describe, expect, it } from "vitest";
import { applyEdits } from "./json-edits.ts";
import { type Member, memberEdits } from "./json-members.ts";
import { checkMemberNames } from "../request/member-names.ts";

function topLevelMembers(text: string): readonly Member[] {
  const scan = checkMemberNames(text, { known: new Set(), isUnique: () => false });
  for (;;) {
    const { done, value } = scan.next();
    if (done === true) return value;
  }
}

function set(text: string, values: Record<string, string>): string {
  return applyEdits(text, memberEdits(text, topLevelMembers(text), new Map(Object.entries(values))));
}

describe("the members of the top level", () => {
  it.each([
    ["{}", {}],
    [' { "a" : 1 , "b":[1,{"a":"]}"}],"c":"x\\\\\\"}","d":{"e":{}} , "f":null\n}', ["a", "b", "c", "d", "f"]],
    ['{"\\u0061":-1.5e3}', ["a"]],
    ['{"e":"é😀","x":true}', ["e", "x"]],
  ])("finds where the values of %s are", (text, keys) => {
    const parsed = JSON.parse(text) as Record<string, unknown>;
    const members = topLevelMembers(text);
    expect(members.map(({ key }) => key)).toEqual(Array.isArray(keys) ? keys : []);
    for (const { key, start, end } of members) expect(JSON.parse(text.slice(start, end))).toEqual(parsed[key]);
  });

  it("reads strings that end in backslashes in linear time", () => {
    const text = `{"a":"${"\\\\".repeat(500_000)}","b":1}`;
    const started = performance.now();
    expect(topLevelMembers(text)).toHaveLength(2);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("setting members", () => {
  it("replaces values and leaves every other byte as it was", () => {
    expect(set('{ "seed": 12345678901234567890, "model" : "x" ,"t":1.0 }', { model: '"y"' })).toBe(
      '{ "seed": 12345678901234567890, "model" : "y" ,"t":1.0 }',
    );
  });

  it("adds what is not there at the end", () => {
    expect(set('{"a":1}\n', { b: "2", c: "3" })).toBe('{"a":1,"b":2,"c":3}\n');
    expect(set("{}", { b: "2" })).toBe('{"b":2}');
  });
});
