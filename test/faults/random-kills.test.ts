import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type CountedNode, NO_DIFFERENCES, startCountedNode } from "./counted-node.ts";
import { type Load, startLoad } from "./load.ts";

/** Runs only in full, by `npm run faults`. `kills.test.ts` has kills of one process at a time. */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
const ROUNDS = Number(process.env["ROUTEPLANE_FAULT_ROUNDS"] ?? 50);

const PROCESSES = [
  "policy",
  "gateway",
  "gateway.worker-1",
  "gateway.worker-2",
  "gateway-2",
  "gateway-2.worker-1",
  "gateway-2.worker-2",
];
/** Limit of each round's budget, and the cost of a request: it is used up while processes are killed. */
const LIMIT = 150_000;
const COST = 1_000;

vi.setConfig({ testTimeout: 120_000 + ROUNDS * 60_000, hookTimeout: 120_000 });

let counted: CountedNode;
let load: Load | undefined;

describe.runIf(isFull)("random SIGKILL of policy and of gateways of two processes", () => {
  beforeAll(async () => {
    counted = await startCountedNode({ gateways: 2, processes: 2 });
  });
  afterEach(() => load?.stop());
  afterAll(() => counted?.remove());

  it(`leaves charges, counters and sessions in agreement, and no budget over its limit: ${ROUNDS} rounds`, async () => {
    const { node, tightUpstream } = counted;
    for (let round = 0; round < ROUNDS; round++) {
      tightUpstream.reset();
      const key = await counted.budgetedKey(`round ${round}`, LIMIT);
      load = startLoad(node.urls, key.token, { model: "tight", costOf: () => COST });
      await eventually(() => tightUpstream.seen.size > 0 && tightUpstream.spentMicroUsd > LIMIT / 10, 60_000);
      const killed: string[] = [];
      for (let kill = 0; kill < 3; kill++) {
        await delay(Math.random() * 700);
        const name = PROCESSES[Math.floor(Math.random() * PROCESSES.length)] ?? "policy";
        const pid = await node.pid(name);
        // A process that an earlier kill of the round has ended is being restarted.
        if (pid === undefined || !kills(pid)) continue;
        killed.push(name);
      }
      await eventually(async () => (await key.use()).remaining_micro_usd === 0, 90_000);
      await load.stop();
      await node.healthy();
      const told = `round ${round}, killed ${killed.join(", ")}`;
      expect(await counted.reconciled(60_000), told).toEqual(NO_DIFFERENCES);
      const { spent_micro_usd: spent, reserved_micro_usd: reserved } = await key.use();
      expect(spent + reserved, told).toBeLessThanOrEqual(LIMIT);
      expect(tightUpstream.spentMicroUsd, told).toBeLessThanOrEqual(spent + reserved);
    }
  });
});

/** Kills a process. @returns false if it does not run */
function kills(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}
