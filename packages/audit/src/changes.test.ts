import { expect, test } from "vitest";
import { changesOf } from "./changes.ts";

test("lists the values that differ by their paths, and no others", () => {
  const before = { name: "daily", spec: { window: "day", limit_micro_usd: 5 }, tags: ["a"] };
  const after = { name: "daily", spec: { window: "day", limit_micro_usd: 9 }, tags: ["a", "b"] };
  expect(changesOf(before, after)).toEqual([
    { field: "spec.limit_micro_usd", from: 5, to: 9 },
    { field: "tags", from: ["a"], to: ["a", "b"] },
  ]);
});

test("lists every value of a creation and of a deletion", () => {
  expect(changesOf(undefined, { name: "daily", expires_at: null })).toEqual([
    { field: "name", from: null, to: "daily" },
  ]);
  expect(changesOf({ name: "daily" }, undefined)).toEqual([{ field: "name", from: "daily", to: null }]);
});

test("compares deep values as a whole", () => {
  const deep = (end: number): object => ({ a: { b: { c: { d: { e: end } } } } });
  expect(changesOf(deep(1), deep(2))).toEqual([{ field: "a.b.c.d", from: { e: 1 }, to: { e: 2 } }]);
  expect(changesOf(deep(1), deep(1))).toEqual([]);
});
