import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { type UpdateForm, updateFormOf, updateRequestOf } from "./update-form.ts";

const NOW = Date.parse("2026-11-30T10:00:00Z");
const KEY = { id: "key_1", name: "ci" };
const HELD = ["keys:*", "usage:read"];
const read = (form: Partial<UpdateForm>) =>
  updateRequestOf({ ...updateFormOf(KEY, HELD), ...form }, KEY, HELD, NOW, "UTC");

test("requests only the fields that differ", () => {
  expect(read({ name: " ci-2 " })).toEqual({ request: { id: "key_1", name: "ci-2" } });
  expect(read({ scopes: ["usage:read", "keys:read"] })).toEqual({
    request: { id: "key_1", scopes: ["usage:read", "keys:read"] },
  });
  expect(read({ scopes: ["usage:read", "keys:*"], expiry: { kind: "1h", time: "" } })).toEqual({
    request: { id: "key_1", expiresAt: timestampFromMs(NOW + 3_600_000) },
  });
});

test("refuses an unchanged form, a blank name, an empty choice of scopes, and a missing time", () => {
  const faultyField = (form: Partial<UpdateForm>) => {
    const result = read(form);
    return "faults" in result ? [...result.faults.keys()] : [];
  };
  expect(faultyField({})).toEqual(["name"]);
  expect(faultyField({ name: "  " })).toEqual(["name"]);
  expect(faultyField({ scopes: [] })).toEqual(["scopes"]);
  expect(faultyField({ expiry: { kind: "at", time: "" } })).toEqual(["expires_at"]);
});
