import { expect, test } from "vitest";
import { addedItems, shownValueOf } from "./value-kind.ts";

const KEY = "key_01m8nxgh8vew7a3s74c1cj2vc8";

test("recognises ids, times and amounts by format and field", () => {
  expect(shownValueOf("parent_id", KEY)).toEqual({ kind: "id", id: KEY });
  expect(shownValueOf("expires_at", "2026-12-07T09:46:05.186+00:00")).toEqual({
    kind: "time",
    date: new Date("2026-12-07T09:46:05.186Z"),
  });
  expect(shownValueOf("spec.limit_micro_usd", 5_000_000)).toEqual({ kind: "money", microUsd: 5_000_000n });
  expect(shownValueOf("revoked_at", null)).toEqual({ kind: "none" });
});

test("shows texts of clients as text, whatever they look like", () => {
  for (const text of ["key_", `${KEY} `, "2026-12-07T09:46:05Z", "<b>"])
    expect(shownValueOf("name", text)).toEqual({ kind: "text", text });
  expect(shownValueOf("expires_at", "2026-99-99T00:00")).toEqual({ kind: "text", text: "2026-99-99T00:00" });
  expect(shownValueOf("spec.limit_micro_usd", 0.5)).toEqual({ kind: "text", text: "0.5" });
  expect(shownValueOf("spec.max_requests", 5)).toEqual({ kind: "text", text: "5" });
  expect(shownValueOf("spec.limits", { a: 1 })).toEqual({ kind: "text", text: '{\n  "a": 1\n}' });
});

test("returns the new items of a list", () => {
  const before = shownValueOf("scopes", ["keys:read", "usage:read"]);
  const after = shownValueOf("scopes", ["usage:read", "policy:read"]);
  expect([...addedItems(before, after)]).toEqual(["policy:read"]);
  expect([...addedItems(after, before)]).toEqual(["keys:read"]);
  expect(addedItems(shownValueOf("scopes", null), after).size).toBe(0);
});
