import { DomainError, newId } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
import { budgetInMemory, usageInMemory } from "../../test/in-memory-ports.ts";
import type { RequestFacts, Settlement } from "./ports.ts";
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
};
const unavailable = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "down");

describe("settlements", () => {
  it("are tried until the policy service is back", async () => {
    let failures = 3;
    const settled: bigint[] = [];
    const admissions = {
      ...budgetInMemory(0n),
      async settle(_: unknown, costNanoUsd: bigint) {
        if (failures-- > 0) throw unavailable;
        settled.push(costNanoUsd);
      },
    };
    const usageLog = usageInMemory();
    const settlements = createSettlements({ admissions, usageLog, log, flushTimeoutMs: 5_000 });
    settlements.settle(facts, settlement, true);
    await settlements.stop();
    expect(settled).toEqual([3_000n]);
    expect(usageLog.settlements).toHaveLength(1);
  });

  it("leave no room for more requests while too many wait", async () => {
    const admissions = { ...budgetInMemory(0n), settle: () => Promise.reject(unavailable) };
    const options = { admissions, usageLog: usageInMemory(), log, capacity: 2, flushTimeoutMs: 10 };
    const settlements = createSettlements(options);
    expect(settlements.hasRoom()).toBe(true);
    settlements.settle(facts, settlement, true);
    settlements.settle(facts, settlement, true);
    expect(settlements.hasRoom()).toBe(false);
    await settlements.stop();
  });

  it("without a hold go to the usage log alone, and without a cost release the hold", async () => {
    const budget = budgetInMemory(0n);
    const settlements = createSettlements({ admissions: budget, usageLog: usageInMemory(), log });
    settlements.settle(facts, settlement, false);
    settlements.settle(facts, { ...settlement, costNanoUsd: 0n }, true);
    await settlements.stop();
    expect(budget.calls).toEqual({ admit: 0, settle: 0, release: 1 });
  });

  it("do not keep a stop waiting for a dependency that is away", async () => {
    const usageLog = { ...usageInMemory(), settled: () => new Promise<void>(() => {}) };
    const settlements = createSettlements({ admissions: budgetInMemory(0n), usageLog, log, flushTimeoutMs: 20 });
    settlements.settle(facts, settlement, false);
    await settlements.stop();
    expect(settlements.hasRoom()).toBe(true);
  });
});
