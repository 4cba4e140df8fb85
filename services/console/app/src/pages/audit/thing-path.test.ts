import { expect, test } from "vitest";
import { pathOf } from "./thing-path.ts";

test("leads an operator to the row of a namespace, also of a deleted one", () => {
  expect(pathOf("ns_1", "operator")).toBe("/namespaces?q=ns_1&deleted=1");
  expect(pathOf("key_1", "operator")).toBeUndefined();
});

test("leads a person in a namespace to the page of a key or policy", () => {
  expect(["key_1", "pol_1", "ns_1", "bnd_1"].map((id) => pathOf(id, "namespace"))).toEqual([
    "/keys/key_1",
    "/policies/pol_1",
    undefined,
    undefined,
  ]);
});
