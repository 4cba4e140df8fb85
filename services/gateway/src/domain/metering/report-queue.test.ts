import { DomainError, type Id, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sampleFacts } from "../../../test/sample-usage.ts";
import type { ReportOutcome, SettlementReports } from "../ports/settlement-reports.ts";
import type { PendingSettlement } from "../ports/usage-log.ts";
import { ReportQueue } from "./report-queue.ts";

const log = createLogger("gateway", (line) => line, "silent");

function pendingSettlement(): PendingSettlement {
  const { namespaceId, keyId, requestId } = sampleFacts();
  return { namespaceId, keyId, requestId, costNanoUsd: 5n, tokens: 1, neverSent: false };
}

/** Queue over `report`, and what it reported: the sizes of the batches, and the settlements that are over. */
function queueOver(report: SettlementReports["report"], withinMs?: number) {
  const [sizes, over]: [number[], string[]] = [[], []];
  const queue = new ReportQueue(
    {
      report(settlements) {
        sizes.push(settlements.length);
        return report(settlements);
      },
    },
    log,
    withinMs,
  );
  const add = (settlement: PendingSettlement): void =>
    queue.add({ settlement, onReported: () => void over.push(settlement.requestId) });
  return { queue, sizes, over, add };
}

const DONE = async (settlements: readonly PendingSettlement[]): Promise<readonly ReportOutcome[]> =>
  settlements.map(() => "done");

describe("the queue of settlements", () => {
  it("reports many in one call, 1,000 at most", async () => {
    const { queue, sizes, over, add } = queueOver(DONE);
    for (let n = 0; n < 2_500; n++) add(pendingSettlement());
    await queue.flush();
    expect(sizes).toEqual([1_000, 1_000, 500]);
    expect(new Set(over).size).toBe(2_500);
    expect(queue.size).toBe(0);
  });

  it("reports again only the settlements without an outcome", async () => {
    const again = pendingSettlement();
    let attempts = 0;
    const { queue, sizes, over, add } = queueOver(async (settlements) =>
      settlements.map(({ requestId }) => (requestId === again.requestId && attempts++ < 2 ? "again" : "done")),
    );
    for (const settlement of [pendingSettlement(), again, pendingSettlement()]) add(settlement);
    await queue.flush();
    expect(sizes).toEqual([3, 1, 1]);
    expect(over).toHaveLength(3);
  });

  it("reports all settlements of a call again if it got no answer", async () => {
    let attempts = 0;
    const { queue, over, add } = queueOver(async (settlements) => {
      if (attempts++ < 2) throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");
      return DONE(settlements);
    });
    const all = [pendingSettlement(), pendingSettlement()];
    for (const settlement of all) add(settlement);
    await queue.flush();
    expect(over).toEqual(all.map(({ requestId }) => requestId));
  });

  it.each([
    ["unauthenticated", "CREDENTIAL_INVALID"],
    ["permission_denied", "SCOPE_MISSING"],
    ["resource_exhausted", "LIMIT_REACHED"],
    ["aborted", "STATE_CONFLICT"],
  ] as const)(
    "reports again what a call was refused for that is no fault of a settlement: %s",
    async (code, reason) => {
      const applied: string[] = [];
      let attempts = 0;
      const { queue, sizes, add } = queueOver(async (settlements) => {
        if (attempts++ < 2) throw new DomainError(code, reason, "not now");
        applied.push(...settlements.map(({ requestId }) => requestId));
        return DONE(settlements);
      });
      const all = [pendingSettlement(), pendingSettlement()];
      for (const settlement of all) add(settlement);
      await queue.flush();
      expect(applied).toEqual(all.map(({ requestId }) => requestId));
      expect(sizes).toEqual([2, 2, 2]);
    },
  );

  it("gives up one that the service refuses, and reports the others of its call", async () => {
    const bad = pendingSettlement();
    const applied: string[] = [];
    const { queue, over, add } = queueOver(async (settlements) => {
      if (settlements.some(({ requestId }) => requestId === bad.requestId))
        throw new DomainError("invalid_argument", "FIELD_INVALID", "no such amount");
      applied.push(...settlements.map(({ requestId }) => requestId));
      return DONE(settlements);
    });
    const good = [pendingSettlement(), pendingSettlement()];
    for (const settlement of [good[0], bad, good[1]]) if (settlement !== undefined) add(settlement);
    await queue.flush();
    expect(applied).toEqual(good.map(({ requestId }) => requestId));
    expect(over).toHaveLength(3);
  });
});

describe("the wait of a settlement on slices", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Settlement on slices. @param countedAt time at which rate slices of it are counted */
  function onSlices(namespaceId: Id<"ns">, countedAt?: Date): PendingSettlement {
    const slices = { sessionId: newId("gws"), limitSet: 1, countedAt, boundNanoUsd: 10n, tokensMax: 2 };
    return { ...pendingSettlement(), namespaceId, slices };
  }

  it("is no longer because of another namespace whose reports fail", async () => {
    const failing = newId("ns");
    let failures = 0;
    const { queue, over, add } = queueOver(async (settlements) =>
      settlements.map(({ namespaceId }) => {
        if (namespaceId !== failing) return "done";
        failures++;
        return "again";
      }),
    );
    add(onSlices(failing));
    for (let n = 1; n <= 200; n++) {
      add(onSlices(newId("ns")));
      await vi.advanceTimersByTimeAsync(100);
      // Those of the last 400 ms may wait.
      expect(over.length).toBeGreaterThanOrEqual(n - 4);
    }
    // Once a second.
    expect(failures).toBeGreaterThan(15);
    expect(failures).toBeLessThan(22);
    queue.stop();
  });

  /** Adds a settlement every 100 ms for 5 s. @returns the number of reports, and the longest wait */
  async function reportSteadily(next: () => PendingSettlement) {
    const addedAt = new Map<string, number>();
    let [reports, longestMs] = [0, 0];
    const { queue, add } = queueOver(async (settlements) => {
      reports++;
      for (const { requestId } of settlements)
        longestMs = Math.max(longestMs, performance.now() - (addedAt.get(requestId) ?? 0));
      return DONE(settlements);
    });
    for (let n = 0; n < 50; n++) {
      const settlement = next();
      addedAt.set(settlement.requestId, performance.now());
      add(settlement);
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(queue.size).toBe(0);
    return { reports, longestMs };
  }

  /**
   * Adds one settlement a second for each of `count` namespaces, for 20 s. @returns for the last 10 s, in which all are busy, the
   * reported settlements, the namespaces with settlements in a report, added over all reports, and the longest wait
   */
  async function reportNamespaces(count: number, maxWithinMs?: number) {
    const namespaceIds = Array.from({ length: count }, () => newId("ns"));
    const addedAt = new Map<string, number>();
    const sum = { settlements: 0, namespaces: 0, longestMs: 0 };
    const { queue, add } = queueOver(async (settlements) => {
      const waits = settlements.map(({ requestId }) => performance.now() - (addedAt.get(requestId) ?? 0));
      sum.longestMs = Math.max(sum.longestMs, ...waits);
      sum.settlements += settlements.length;
      sum.namespaces += new Set(settlements.map(({ namespaceId }) => namespaceId)).size;
      return DONE(settlements);
    }, maxWithinMs);
    for (let step = 0; step < 200; step++) {
      if (step === 100) Object.assign(sum, { settlements: 0, namespaces: 0 });
      for (let index = step % 10; index < count; index += 10) {
        const settlement = onSlices(namespaceIds[index] ?? newId("ns"));
        addedAt.set(settlement.requestId, performance.now());
        add(settlement);
      }
      await vi.advanceTimersByTimeAsync(100);
    }
    queue.stop();
    return sum;
  }

  it("is about a quarter of a second for the first of a namespace, and for another one in it after 5 s", async () => {
    const { sizes, add } = queueOver(DONE);
    const namespaceId = newId("ns");
    for (const count of [1, 2]) {
      add(onSlices(namespaceId));
      await vi.advanceTimersByTimeAsync(351);
      expect(sizes).toHaveLength(count);
      await vi.advanceTimersByTimeAsync(5_000);
    }
  });

  it("is less than a second in a busy namespace, which is reported once in that time", async () => {
    const namespaceId = newId("ns");
    const { reports, longestMs } = await reportSteadily(() => onSlices(namespaceId));
    expect(longestMs).toBeLessThan(1_000);
    expect(reports).toBeLessThanOrEqual(8);
  });

  it("is less than a second while 150 namespaces are busy", async () => {
    const { longestMs } = await reportNamespaces(150);
    expect(longestMs).toBeLessThan(1_000);
  });

  it.each([
    [400, 2_000],
    [700, 3_500],
  ])("grows with %i busy namespaces, of which about 200 are reported a second", async (count, withinMs) => {
    const { settlements, namespaces, longestMs } = await reportNamespaces(count);
    expect(longestMs).toBeLessThan(withinMs);
    expect(settlements).toBeGreaterThan(count * 9);
    expect(namespaces / 10).toBeLessThan(300);
  });

  it("is less than 5 s however many namespaces are busy", async () => {
    const { longestMs } = await reportNamespaces(1_400);
    expect(longestMs).toBeGreaterThan(1_000);
    expect(longestMs).toBeLessThan(5_000);
  });

  it("is no longer than set however many namespaces are busy", async () => {
    const { longestMs } = await reportNamespaces(700, 1_500);
    expect(longestMs).toBeGreaterThan(1_000);
    expect(longestMs).toBeLessThan(1_500);
  });

  it("is less than a second once 10,000 wait, however many namespaces they are of", async () => {
    const { queue, over, add } = queueOver(DONE);
    const namespaceIds = Array.from({ length: 1_000 }, () => newId("ns"));
    for (const namespaceId of namespaceIds) add(onSlices(namespaceId));
    await vi.advanceTimersByTimeAsync(351);
    expect(queue.size).toBe(0);
    for (let n = 0; n < 10; n++) for (const namespaceId of namespaceIds) add(onSlices(namespaceId));
    const last = onSlices(namespaceIds[999] ?? newId("ns"));
    add(last);
    await vi.advanceTimersByTimeAsync(901);
    // Those of the first 200 namespaces or a few more (times are rounded), and of the one that was added while 10,000 waited.
    expect(over).toContain(last.requestId);
    expect(queue.size).toBeLessThanOrEqual(10_000 - 201 * 10);
    expect(queue.size).toBeGreaterThan(10_000 - 225 * 10);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(queue.size).toBe(0);
  });

  it("is no longer in a busy namespace with a rate limit, where the report frees what was not used", async () => {
    const namespaceId = newId("ns");
    const { longestMs } = await reportSteadily(() => onSlices(namespaceId, new Date()));
    expect(longestMs).toBeLessThanOrEqual(351);
  });

  it("ends for many namespaces with one report", async () => {
    const { sizes, add } = queueOver(DONE);
    for (let n = 0; n < 40; n++) {
      add(onSlices(newId("ns")));
      await vi.advanceTimersByTimeAsync(1);
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sizes.length).toBeLessThanOrEqual(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
  });

  it("is a moment where the policy service admitted the request, also in a busy namespace", async () => {
    const { over, add } = queueOver(DONE);
    const onSlice = onSlices(newId("ns"));
    add(onSlice);
    const central = { ...pendingSettlement(), namespaceId: onSlice.namespaceId };
    add(central);
    await vi.advanceTimersByTimeAsync(21);
    expect(over).toContain(central.requestId);
  });
});
