import { expect, test } from "vitest";
import { byId } from "./by-id.ts";

test("finds resources by their ids, and makes one map per list", () => {
  const list = [{ id: "key_1", name: "agent" }];
  expect(byId(list).get("key_1")).toBe(list[0]);
  expect(byId(list)).toBe(byId(list));
  expect(byId([...list])).not.toBe(byId(list));
  expect(byId(undefined).size).toBe(0);
});
