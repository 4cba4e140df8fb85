import { newId } from "@routeplane/domain";
import { expect, test } from "vitest";
import type { SessionDifference } from "./charges.ts";
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
