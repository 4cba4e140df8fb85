import { newId } from "@routeplane/domain";
import { expect, test } from "vitest";
import {
  reconcile,
  type ReconciliationPosition,
  type ReconciliationStore,
  type UsageDifference,
} from "./reconciliation.ts";
import { NO_USAGE, type UsageGroup, type UsageRange } from "./usage.ts";

const HOUR_MS = 3_600_000;

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
    endOfPart: async (_namespaceId, { to }) => to,
    findDifferences: async (namespaceId) => Array.from({ length: 600 }, () => differenceOf(namespaceId)),
  };
  const range = { from: new Date(0), to: new Date(HOUR_MS) };
  const limits = { timeLimitMs: 60_000, partRows: 10 };
  const first = await reconcile(store, range, undefined, limits);
  expect(first).toMatchObject({ namespaceCount: 2, next: { namespaceId: namespaces[1], from: undefined } });
  expect(first.differences).toHaveLength(1_200);
  const second = await reconcile(store, range, first.next, limits);
  expect(second).toMatchObject({ namespaceCount: 2, next: { namespaceId: namespaces[3] } });
  expect(await reconcile(store, range, second.next, limits)).toMatchObject({ namespaceCount: 1, next: undefined });
});

test("requests that are dropped during a comparison are no difference", async () => {
  const namespaceId = newId("ns");
  const [before, after] = [new Date(0), new Date(HOUR_MS)];
  let kept = before;
  const store: ReconciliationStore = {
    keptFrom: async () => kept,
    nextNamespace: async (_range, previous) => (previous === undefined ? namespaceId : undefined),
    endOfPart: async (_namespaceId, { to }) => to,
    async findDifferences(_namespaceId, _part, keptFrom) {
      kept = after;
      return keptFrom < kept ? [{ namespaceId, fiveMinutes: undefined, kept: GROUP, expected: GROUP }] : [];
    },
  };
  const range = { from: new Date(0), to: new Date(2 * HOUR_MS) };
  const answer = await reconcile(store, range, undefined, { timeLimitMs: 60_000, partRows: 10 });
  expect(answer).toEqual({ differences: [], namespaceCount: 1, keptFrom: after, next: undefined });
});

test("a large namespace is compared in parts, over several answers, each hour and each whole day once", async () => {
  const namespaces = [newId("ns"), newId("ns")].toSorted();
  const parts: string[] = [];
  const hoursOf = ({ from, to }: UsageRange) => `${from.getTime() / HOUR_MS}-${to.getTime() / HOUR_MS}`;
  const store: ReconciliationStore = {
    keptFrom: async () => new Date(0),
    nextNamespace: async (_range, after) => namespaces.find((each) => each > (after ?? "")),
    endOfPart: async (_namespaceId, { from, to }) => new Date(Math.min(from.getTime() + 20 * HOUR_MS, to.getTime())),
    async findDifferences(namespaceId, part) {
      const days = part.days === undefined ? "" : ` days ${hoursOf(part.days)}`;
      parts.push(`${namespaces.indexOf(namespaceId)}: ${hoursOf(part)}${days}`);
      return [];
    },
  };
  const range = { from: new Date(23 * HOUR_MS), to: new Date(75 * HOUR_MS) };
  const counts: number[] = [];
  let next: ReconciliationPosition | undefined;
  do {
    const answer = await reconcile(store, range, next, { timeLimitMs: -1, partRows: 10 });
    counts.push(answer.namespaceCount);
    next = answer.next;
  } while (next !== undefined);
  const ofNamespace = (index: number) =>
    ["23-43", "43-63 days 24-48", "63-75 days 48-72"].map((of) => `${index}: ${of}`);
  expect(parts).toEqual([...ofNamespace(0), ...ofNamespace(1)]);
  expect(counts).toEqual([0, 0, 1, 0, 0, 1, 0]);
});
