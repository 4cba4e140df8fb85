import { expect, it } from "vitest";
import { DomainError } from "./errors.ts";
import { newId, parseId, requireId } from "./ids.ts";

it("makes ids that carry their kind and sort by time", () => {
  const first = newId("req");
  const made = Date.now();
  while (Date.now() === made);
  expect(newId("req") > first).toBe(true);
  expect(parseId("req", first)).toBe(first);
});

it("refuses ids of another kind and malformed ones", () => {
  const key = newId("key");
  for (const text of ["", "key_", "key", newId("ns"), key.toUpperCase(), `${key}0`, ` ${key}`, "key_' or 1=1"]) {
    expect(parseId("key", text)).toBeUndefined();
    expect(() => requireId("key", text)).toThrow(DomainError);
  }
});
