import { expect, it } from "vitest";
import { DomainError } from "./errors.ts";
import { idBound, idTime, newId, parseId, requireId } from "./ids.ts";

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

it("tells the time of an id, and the least id of a time", () => {
  const before = Date.now();
  const id = newId("req");
  const after = Date.now();
  expect(idTime(id)).toBeGreaterThanOrEqual(before);
  expect(idTime(id)).toBeLessThanOrEqual(after);
  expect(idBound("req", before) <= id).toBe(true);
  expect(idBound("req", after + 1) > id).toBe(true);
  expect(idBound("req", idTime(id))).toBe(id.slice(0, "req_".length + 10));
});
