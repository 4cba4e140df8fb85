import { DomainError } from "@routeplane/domain";
import { createLogger } from "@routeplane/runtime";
import { describe, expect, it } from "vitest";
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
function queueOver(report: SettlementReports["report"]) {
  const [sizes, over]: [number[], string[]] = [[], []];
  const queue = new ReportQueue(
    {
      report(settlements) {
        sizes.push(settlements.length);
        return report(settlements);
      },
    },
    log,
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

  it("reports again what got no outcome, and that alone", async () => {
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

  it("reports all of a call again that got no answer", async () => {
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
