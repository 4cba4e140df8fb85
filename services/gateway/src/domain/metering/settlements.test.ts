import { setTimeout as delay } from "node:timers/promises";
import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { fakeBudget } from "../../../test/fake-admissions.ts";
import { fakeUsageLog } from "../../../test/fake-usage-log.ts";
import { sampleFacts, sampleSettlement } from "../../../test/sample-usage.ts";
import type { ReservationKey, SettledAmounts } from "../ports/admissions.ts";
import type { ReportOutcome } from "../ports/settlement-reports.ts";
import type { PendingSettlement } from "../ports/usage-log.ts";
import { createSettlements } from "./settlements.ts";

const log = createLogger("gateway", (line) => line, "silent");
const facts = sampleFacts();
const settlement = sampleSettlement();
const HELD = { hasReservation: true, neverSent: false, pendingRelease: 0 };
const unavailable = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");

describe("settlements", () => {
  it("are sent again until the policy service is back", async () => {
    let failures = 3;
    const settled: bigint[] = [];
    const admissions = {
      ...fakeBudget(0n),
      async settle(_: unknown, { costNanoUsd }: SettledAmounts) {
        if (failures-- > 0) throw unavailable;
        settled.push(costNanoUsd);
      },
    };
    const usageLog = fakeUsageLog();
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 5_000 });
    settlements.settle(facts, settlement, HELD);
    await settlements.stop();
    expect(settled).toEqual([3_000n]);
    expect(usageLog.settlements).toHaveLength(1);
  });

  it("leave no capacity for more requests while too many are pending", async () => {
    const admissions = { ...fakeBudget(0n), settle: () => Promise.reject(unavailable) };
    const options = { admissions, usageLog: fakeUsageLog(), log, capacity: 2, flushTimeoutMs: 10 };
    const settlements = createSettlements(options);
    expect(settlements.hasCapacity()).toBe(true);
    settlements.settle(facts, settlement, HELD);
    settlements.settle(facts, settlement, HELD);
    expect(settlements.hasCapacity()).toBe(false);
    await settlements.stop();
  });

  it("without a reservation go to the usage log alone, and without a cost release the reservation", async () => {
    const budget = fakeBudget(0n);
    const settlements = createSettlements({ admissions: budget, usageLog: fakeUsageLog(), log });
    settlements.settle(facts, settlement, { ...HELD, hasReservation: false });
    settlements.settle(facts, { ...settlement, costNanoUsd: 0n, promptTokens: 0, completionTokens: 0 }, HELD);
    await settlements.stop();
    expect(budget.calls).toEqual({ admit: 0, settle: 0, release: 1 });
    expect(budget.closed).toEqual([{ neverSent: false }]);
  });

  it("of a request that was free settle its tokens", async () => {
    const budget = fakeBudget(0n);
    const settlements = createSettlements({ admissions: budget, usageLog: fakeUsageLog(), log });
    settlements.settle(facts, { ...settlement, costNanoUsd: 0n, promptTokens: 5, completionTokens: 2 }, HELD);
    await settlements.stop();
    expect(budget.closed).toEqual([{ tokens: 7 }]);
  });

  it("do not keep a stop waiting for a dependency that is down, and are left to the next process", async () => {
    const usageLog = fakeUsageLog();
    const admissions = { ...fakeBudget(0n), settle: () => Promise.reject(unavailable) };
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 20 });
    settlements.settle(facts, settlement, HELD);
    await settlements.stop();
    expect([...usageLog.pending.values()]).toMatchObject([{ requestId: facts.requestId, costNanoUsd: 3_000n }]);
  });

  it("keep a stop waiting for as long as reports are answered", async () => {
    const usageLog = fakeUsageLog();
    const reports = {
      async report(all: readonly PendingSettlement[]): Promise<readonly ReportOutcome[]> {
        await delay(60);
        return all.map(() => "done");
      },
    };
    const settlements = createSettlements({ admissions: fakeBudget(0n), reports, usageLog, log, flushTimeoutMs: 100 });
    // Twelve reports of 1,000, four at a time: 180 ms.
    for (let n = 0; n < 12_000; n++) settlements.settle({ ...facts, requestId: newId("req") }, settlement, HELD);
    await settlements.stop();
    expect(usageLog.pending.size).toBe(0);
  });

  it("keep a stop waiting until the session of an earlier process is closed, for as long as it may", async () => {
    const session = { offset: 7, sessionId: newId("gws"), hasProof: true };
    const closeAfter = async (attempts: number, flushTimeoutMs: number): Promise<number> => {
      let left = attempts;
      const completed: number[] = [];
      const usageLog = {
        ...fakeUsageLog(),
        sessionsFromPreviousRun: Promise.resolve([session]),
        complete: (offset: number) => void completed.push(offset),
      };
      const closeSession = async (): Promise<void> => {
        if (--left > 0) throw unavailable;
      };
      const settlements = createSettlements({
        admissions: fakeBudget(0n),
        usageLog,
        log,
        closeSession,
        flushTimeoutMs,
      });
      await settlements.stop();
      return completed.length;
    };
    expect(await closeAfter(2, 30_000)).toBe(1);
    expect(await closeAfter(Number.POSITIVE_INFINITY, 20)).toBe(0);
  });

  it("that an earlier process left are sent until acknowledged, and then complete", async () => {
    const { namespaceId, keyId } = facts;
    const [settled, released] = [newId("req"), newId("req")];
    const pendingFromPreviousRun = [
      {
        offset: 1,
        settlement: { namespaceId, keyId, requestId: settled, costNanoUsd: 7n, tokens: 3, neverSent: false },
      },
      {
        offset: 2,
        settlement: { namespaceId, keyId, requestId: released, costNanoUsd: 0n, tokens: 0, neverSent: true },
      },
    ];
    const completed: number[] = [];
    const complete = (offset: number) => void completed.push(offset);
    const usageLog = { ...fakeUsageLog(), pendingFromPreviousRun, complete };
    const sent: string[] = [];
    let failures = 2;
    const admissions = {
      ...fakeBudget(0n),
      async settle({ requestId }: ReservationKey, { costNanoUsd }: SettledAmounts) {
        if (failures-- > 0) throw unavailable;
        sent.push(`${requestId} ${costNanoUsd}`);
      },
      async release({ requestId }: ReservationKey) {
        sent.push(requestId);
      },
    };
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 5_000 });
    await settlements.stop();
    expect(sent.toSorted()).toEqual([`${settled} 7`, released].toSorted());
    expect(new Set(completed)).toEqual(new Set([1, 2]));
  });

  it("that the policy service refuses for good are given up, not sent for ever", async () => {
    const usageLog = fakeUsageLog();
    const refuse = () => Promise.reject(new DomainError("not_found", "RESOURCE_NOT_FOUND", "no such namespace"));
    const settlements = createSettlements({ admissions: { ...fakeBudget(0n), settle: refuse }, usageLog, log });
    settlements.settle(facts, settlement, HELD);
    await settlements.stop();
    expect(usageLog.pending.size).toBe(0);
  });
});
