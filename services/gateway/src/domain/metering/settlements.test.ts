import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { fakeBudget } from "../../../test/fake-admissions.ts";
import { fakeUsageLog } from "../../../test/fake-usage-log.ts";
import type { HoldKey, RequestFacts, Settlement, Used } from "../ports.ts";
import { NO_RECEIPT } from "./receipt.ts";
import { createSettlements } from "./settlements.ts";

const log = createLogger("gateway", (line) => line, "silent");
const facts: RequestFacts = {
  requestId: newId("req"),
  namespaceId: newId("ns"),
  keyId: newId("key"),
  createdAt: new Date(),
  endpoint: "/v1/chat/completions",
  model: "echo",
  provider: "echo",
  streamed: false,
};
const settlement: Settlement = {
  outcome: "succeeded",
  completedAt: new Date(),
  promptTokens: 1,
  completionTokens: 1,
  costNanoUsd: 3_000n,
  reservedNanoUsd: 9_000n,
  estimated: false,
  httpStatus: 200,
  errorCode: "",
  deniedByPolicyId: "",
  deniedByBindingId: "",
  deniedRule: "",
  shadowDenials: [],
  guardrailDecisions: [],
  ...NO_RECEIPT,
};
const HELD = { held: true, neverSent: false, asked: 0 };
const unavailable = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");

describe("settlements", () => {
  it("are tried until the policy service is back", async () => {
    let failures = 3;
    const settled: bigint[] = [];
    const admissions = {
      ...fakeBudget(0n),
      async settle(_: unknown, { costNanoUsd }: Used) {
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

  it("leave no room for more requests while too many wait", async () => {
    const admissions = { ...fakeBudget(0n), settle: () => Promise.reject(unavailable) };
    const options = { admissions, usageLog: fakeUsageLog(), log, capacity: 2, flushTimeoutMs: 10 };
    const settlements = createSettlements(options);
    expect(settlements.hasRoom()).toBe(true);
    settlements.settle(facts, settlement, HELD);
    settlements.settle(facts, settlement, HELD);
    expect(settlements.hasRoom()).toBe(false);
    await settlements.stop();
  });

  it("without a hold go to the usage log alone, and without a cost release the hold", async () => {
    const budget = fakeBudget(0n);
    const settlements = createSettlements({ admissions: budget, usageLog: fakeUsageLog(), log });
    settlements.settle(facts, settlement, { ...HELD, held: false });
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

  it("do not keep a stop waiting for a dependency that is away, and are left to the next process", async () => {
    const usageLog = fakeUsageLog();
    const admissions = { ...fakeBudget(0n), settle: () => Promise.reject(unavailable) };
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 20 });
    settlements.settle(facts, settlement, HELD);
    await settlements.stop();
    expect([...usageLog.owed.values()]).toMatchObject([{ requestId: facts.requestId, costNanoUsd: 3_000n }]);
  });

  it("that an earlier process left are done, each until it is, and then forgotten", async () => {
    const { namespaceId, keyId } = facts;
    const [settled, released] = [newId("req"), newId("req")];
    const ends = [
      { debt: 1, end: { namespaceId, keyId, requestId: settled, costNanoUsd: 7n, tokens: 3, neverSent: false } },
      { debt: 2, end: { namespaceId, keyId, requestId: released, costNanoUsd: 0n, tokens: 0, neverSent: true } },
    ];
    const paid: number[] = [];
    const usageLog = { ...fakeUsageLog(), unpaid: ends, paid: (debt: number) => void paid.push(debt) };
    const told: string[] = [];
    let failures = 2;
    const admissions = {
      ...fakeBudget(0n),
      async settle({ requestId }: HoldKey, { costNanoUsd }: Used) {
        if (failures-- > 0) throw unavailable;
        told.push(`${requestId} ${costNanoUsd}`);
      },
      async release({ requestId }: HoldKey) {
        told.push(requestId);
      },
    };
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 5_000 });
    await settlements.stop();
    expect(told.toSorted()).toEqual([`${settled} 7`, released].toSorted());
    expect(new Set(paid)).toEqual(new Set([1, 2]));
  });

  it("that the policy service refuses for good are given up, not tried for ever", async () => {
    const usageLog = fakeUsageLog();
    const refuse = () => Promise.reject(new DomainError("not_found", "RESOURCE_NOT_FOUND", "no such namespace"));
    const settlements = createSettlements({ admissions: { ...fakeBudget(0n), settle: refuse }, usageLog, log });
    settlements.settle(facts, settlement, HELD);
    await settlements.stop();
    expect(usageLog.owed.size).toBe(0);
  });
});
