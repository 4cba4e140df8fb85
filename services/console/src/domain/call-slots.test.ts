import { expect, it } from "vitest";
import { CallSlots } from "./call-slots.ts";

it("bounds the calls of a session by kind, and returns a slot only once", () => {
  const slots = new CallSlots();
  const taken = Array.from({ length: 5 }, () => slots.take("one", "stream"));
  expect(taken.map((leave) => leave !== undefined)).toEqual([true, true, true, true, false]);
  expect(slots.take("one", "unary")).toBeDefined();
  expect(slots.take("two", "stream")).toBeDefined();
  taken[0]?.();
  expect(slots.take("one", "stream")).toBeDefined();
  expect(slots.take("one", "stream")).toBeUndefined();
  expect(slots.countOf("stream")).toBe(5);
});

it("bounds the calls of all sessions together", () => {
  const slots = new CallSlots();
  const leaves = Array.from({ length: 300 }, (_, index) => slots.take(String(index >> 3), "unary"));
  expect(leaves.filter((leave) => leave !== undefined)).toHaveLength(256);
  for (const leave of leaves) leave?.();
  expect(slots.countOf("unary")).toBe(0);
});
