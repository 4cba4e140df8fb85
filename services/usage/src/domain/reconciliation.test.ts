import { newId } from "@routeplane/domain";
import { expect, test } from "vitest";
import { reconcile, type ReconciliationStore, type UsageDifference } from "./reconciliation.ts";
import { NO_USAGE, type UsageGroup } from "./usage.ts";

const GROUP: UsageGroup = {
  ...NO_USAGE,
  namespaceId: undefined,
  keyId: undefined,
  model: undefined,
  provider: undefined,
  status: undefined,
  hour: undefined,
  day: undefined,
  restCount: 0n,
};

test("an answer ends after the namespace that makes it large, and the next one continues there", async () => {
  const namespaces = Array.from({ length: 5 }, () => newId("ns")).toSorted();
  const differenceOf = (namespaceId: UsageDifference["namespaceId"]): UsageDifference => {
    return { namespaceId, fiveMinutes: undefined, kept: GROUP, expected: GROUP };
  };
  const store: ReconciliationStore = {
    keptFrom: async () => new Date(0),
    nextNamespace: async (_range, after) => namespaces.find((each) => each > (after ?? "")),
    findDifferences: async (namespaceId) => Array.from({ length: 600 }, () => differenceOf(namespaceId)),
  };
  const range = { from: new Date(0), to: new Date(3_600_000) };
  const first = await reconcile(store, range, undefined, 60_000);
  expect(first).toMatchObject({ namespaceCount: 2, lastNamespace: namespaces[1] });
  expect(first.differences).toHaveLength(1_200);
  const second = await reconcile(store, range, first.lastNamespace, 60_000);
  expect(second).toMatchObject({ namespaceCount: 2, lastNamespace: namespaces[3] });
  expect(await reconcile(store, range, second.lastNamespace, 60_000)).toMatchObject({ lastNamespace: undefined });
});
