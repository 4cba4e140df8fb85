import { describe, expect, it } from "vitest";
import { StrictJson } from "./strict-json.ts";

const strict = (value: unknown) => new StrictJson(value, "root", (path, rule) => new RangeError(`${path}: ${rule}`));

describe("strict JSON", () => {
  it("reads members by type", () => {
    const json = strict({ name: "a", tags: ["x", "y"], size: 3, open: false, mode: "shadow" });
    const { name, tags, size, open, mode } = json.object("thing", ["name", "tags", "size", "open", "mode"]);
    expect([name.text(), tags.list((tag) => tag.text()), size.positiveInteger(3), open.boolean()]).toEqual([
      "a",
      ["x", "y"],
      3,
      false,
    ]);
    expect(mode.oneOf(["enforce", "shadow"])).toBe("shadow");
  });

  it("reads an absent member as undefined only if it is optional", () => {
    const { name } = strict({}).object("thing", ["name"]);
    expect(name.optional((json) => json.text())).toBeUndefined();
    expect(() => name.text()).toThrow("root.name: must be a text");
    expect(() =>
      strict({ name: null })
        .object("thing", ["name"])
        .name.optional((json) => json.text()),
    ).toThrow("root.name: must be a text");
  });

  it("ignores inherited members", () => {
    const { toString } = strict({}).object("thing", ["toString"]);
    expect(toString.optional((json) => json.text())).toBeUndefined();
  });

  it.each<[string, (json: StrictJson) => unknown, unknown, string]>([
    [
      "a list for an object",
      (json) => json.object("thing", ["a", "b"]),
      [],
      "root: must be an object: a thing has a, b",
    ],
    ["null for an object", (json) => json.object("thing", ["a"]), null, "root: must be an object: a thing has a"],
    ["an unknown member", (json) => json.object("thing", ["a"]), { b: 1 }, "root.b: is not known: a thing has a"],
    ["a member of __proto__", (json) => json.object("thing", ["a"]), JSON.parse('{"__proto__": 1}'), "is not known"],
    ["a text for a list", (json) => json.list((item) => item.text()), "a", "root: must be a list"],
    ["a number in a list of texts", (json) => json.list((item) => item.text()), ["a", 1], "root[1]: must be a text"],
    ["a text for a boolean", (json) => json.boolean(), "true", "root: must be true or false"],
    ["zero", (json) => json.positiveInteger(9), 0, "root: must be a whole number from 1 to 9"],
    ["a fraction", (json) => json.positiveInteger(9), 1.5, "root: must be a whole number from 1 to 9"],
    ["a number above the bound", (json) => json.positiveInteger(9), 10, "root: must be a whole number from 1 to 9"],
    ["a number in a text", (json) => json.positiveInteger(9), "5", "root: must be a whole number from 1 to 9"],
    ["a word that is not known", (json) => json.oneOf(["a", "b"]), "c", "root: must be one of a, b"],
  ])("refuses %s with the caller's error, path and rule", (_case, read, value, message) => {
    expect(() => read(strict(value))).toThrow(RangeError);
    expect(() => read(strict(value))).toThrow(message);
  });
});
