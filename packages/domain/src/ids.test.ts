import { fromString, toUUID } from "typeid-js";
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

it("makes ascending ids that an independent implementation reads as a UUIDv7 of now", () => {
  let last = "";
  for (let count = 0; count < 2_000; count++) {
    const before = Date.now();
    const id = newId("req");
    const uuid = toUUID(fromString<string>(id));
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const time = Number.parseInt(uuid.replaceAll("-", "").slice(0, 12), 16);
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(Date.now());
    expect(id > last).toBe(true);
    last = id;
  }
});

it("makes no id twice, and every one of its random bits both 0 and 1", () => {
  const ids = new Set(Array.from({ length: 20_000 }, () => newId("key")));
  expect(ids.size).toBe(20_000);
  const tails = [...ids].map((id) => BigInt(`0x${toUUID(fromString<string>(id)).replaceAll("-", "").slice(-16)}`));
  for (let bit = 0n; bit < 62n; bit++) {
    const ones = tails.filter((tail) => ((tail >> bit) & 1n) === 1n).length;
    expect(ones).toBeGreaterThan(9_000);
    expect(ones).toBeLessThan(11_000);
  }
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
