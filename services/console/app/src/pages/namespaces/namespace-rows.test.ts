import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NamespaceSchema } from "@routeplane/contracts/auth";
import { NamespaceUsageSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { namespaceRows } from "./namespace-rows.ts";
import { namespaceStateOf } from "./namespace-state.ts";

const NAMESPACES = ["staging", "production"].map((name) => create(NamespaceSchema, { id: `ns_${name}`, name }));

test("shows the usage of each namespace, and zero for a namespace without requests", () => {
  const usage = (namespaceId: string, spendMicroUsd: bigint) =>
    create(NamespaceUsageSchema, { namespaceId, usage: { spendMicroUsd } });
  const rows = namespaceRows(NAMESPACES, [usage("ns_production", 7n), usage("ns_gone", 9n)], "");
  expect(rows.map(({ namespace, totals }) => [namespace.name, totals.spendMicroUsd])).toEqual([
    ["staging", 0n],
    ["production", 7n],
  ]);
});

test("finds namespaces by a part of their name or id, in any case", () => {
  const found = (text: string) => namespaceRows(NAMESPACES, [], text).map(({ namespace: { name } }) => name);
  expect(found(" PROD ")).toEqual(["production"]);
  expect(found("ns_st")).toEqual(["staging"]);
});

test("counts a namespace that is suspended and deleted as deleted", () => {
  const at = timestampFromMs(1);
  const states = [{}, { suspendedAt: at }, { suspendedAt: at, deletedAt: at }];
  expect(states.map((times) => namespaceStateOf(create(NamespaceSchema, times)))).toEqual([
    "active",
    "suspended",
    "deleted",
  ]);
});
