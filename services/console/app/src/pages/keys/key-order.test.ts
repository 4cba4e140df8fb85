import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { KeySchema } from "@routeplane/contracts/auth";
import { UsageGroupSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { isOrderName, orderKeys } from "./key-order.ts";
import { spendByKey } from "./key-spend.ts";
import { keyTreeOf } from "./key-tree.ts";

const TREE = keyTreeOf(
  [
    create(KeySchema, { id: "r", name: "zeta", createdAt: timestampFromMs(1) }),
    create(KeySchema, {
      id: "a",
      name: "Äpfel",
      parentId: "r",
      createdAt: timestampFromMs(2),
      lastUsedAt: timestampFromMs(9),
    }),
    create(KeySchema, { id: "b", name: "beta", parentId: "a", createdAt: timestampFromMs(3) }),
  ],
  10,
);
const spend = (keyId: string, spendMicroUsd: bigint) =>
  create(UsageGroupSchema, { keyId, spendMicroUsd, requestCount: 1n });
const SPENDS = spendByKey(TREE, [
  spend("b", 9_007_199_254_740_993n),
  spend("a", 9_007_199_254_740_992n),
  spend("gone", 5n),
]);

test("sums the spend of a key and all keys below it exactly", () => {
  expect(SPENDS.get("r")).toEqual({ own: 0n, withSubKeys: 18_014_398_509_481_985n, requestCount: 0n });
  expect(SPENDS.get("b")?.withSubKeys).toBe(9_007_199_254_740_993n);
  expect(SPENDS.has("gone")).toBe(false);
});

test("orders by exact spend, by time, and by name without regard to case or accents", () => {
  const ordered = (order: Parameters<typeof orderKeys>[1]) =>
    orderKeys([...TREE.branches.values()], order, SPENDS).map(({ key: { id } }) => id);
  expect(ordered("spend")).toEqual(["b", "a", "r"]);
  expect(ordered("used")).toEqual(["a", "r", "b"]);
  expect(ordered("created")).toEqual(["b", "a", "r"]);
  expect(ordered("name")).toEqual(["a", "b", "r"]);
});

test("accepts only the names of orders", () => {
  expect(["spend", "", "constructor"].map(isOrderName)).toEqual([true, false, false]);
});
