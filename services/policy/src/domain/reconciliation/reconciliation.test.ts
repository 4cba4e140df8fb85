import { newId } from "@routeplane/domain";
import { expect, test } from "vitest";
import type { ChargedReservation, SessionDifference } from "./charges.ts";
import { reconcileBudgets, type ReconciliationCursor, type ReconciliationDependencies } from "./reconciliation.ts";

test("an answer ends after the namespace that makes it large, whatever differs there, and the next one continues there", async () => {
  const namespaces = Array.from({ length: 25 }, () => newId("ns")).toSorted();
  const fault = (): SessionDifference => {
    return { sessionId: newId("gws"), bindingId: newId("bnd"), fault: "closed", setAsideNano: 1_000n };
  };
  const dependencies: ReconciliationDependencies = {
    keys: { find: async () => undefined },
    budgets: {
      nextNamespace: async (after) => namespaces.find((each) => each > (after ?? "")),
      page: async () => [],
      of: async () => [],
      budgeted: async () => new Map(),
      counters: async () => [],
      sessions: async () => Array.from({ length: 100 }, fault),
    },
    log: {
      nextNamespace: async () => undefined,
      page: async () => ({ charges: [], nextToken: "" }),
      of: async () => [],
    },
    sweepSessions: async () => {},
  };
  const now = new Date();
  const range = { from: new Date(0), to: now };
  const read = (cursor: ReconciliationCursor | undefined) =>
    reconcileBudgets(dependencies, { range, now, withCounters: true, cursor, timeLimitMs: 60_000 });
  const first = await read(undefined);
  expect(first).toMatchObject({ namespaceCount: 10, next: { namespaceId: namespaces[9], part: "end" } });
  expect(first.sessions).toHaveLength(1_000);
  const second = await read(first.next);
  expect(second).toMatchObject({ namespaceCount: 10, next: { namespaceId: namespaces[19] } });
  expect(await read(second.next)).toMatchObject({ namespaceCount: 5, next: undefined });
});

test("charges that differ in several namespaces are read again together", async () => {
  const namespaces = [newId("ns"), newId("ns"), newId("ns")].toSorted();
  const [keyId, requestId] = [newId("key"), newId("req")];
  const settled: ChargedReservation = {
    keyId,
    requestId,
    state: "settled",
    expiresAt: new Date(),
    reservedNano: 2_000n,
    costNano: 1_000n,
    isOfService: false,
  };
  const read: number[] = [];
  const dependencies: ReconciliationDependencies = {
    keys: { find: async () => undefined },
    budgets: {
      nextNamespace: async (after) => namespaces.find((each) => each > (after ?? "")),
      page: async () => [settled],
      of: async (namespaceId, keys) => {
        if (keys.length > 0) read.push(namespaces.indexOf(namespaceId));
        return [settled];
      },
      budgeted: async () => new Map(),
      counters: async () => [],
      sessions: async () => [],
    },
    log: {
      nextNamespace: async () => undefined,
      page: async () => ({ charges: [], nextToken: "" }),
      of: async () => [],
    },
    sweepSessions: async () => {},
  };
  const range = { from: new Date(0), to: new Date() };
  const request = { range, now: range.to, withCounters: false, cursor: undefined, timeLimitMs: 60_000 };
  const { charges, requestCount } = await reconcileBudgets(dependencies, request);
  expect(charges.map(({ namespaceId }) => namespaces.indexOf(namespaceId))).toEqual([0, 1, 2]);
  expect(requestCount).toBe(3);
  expect(read).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
});
