import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { expect, it } from "vitest";
import { startPolicyUnderTest } from "../../policy/test/policy-under-test.ts";
import { startGatewayOnSlices } from "./gateway-on-slices.ts";

/** Runs in full only by `npm run faults`, because it takes three windows of real time. `simulated-slices.test.ts` is the short form. */
const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";

const WINDOW_MS = 10_000;
const MAX_REQUESTS = 300;
/** Requests that are offered at once in turns of 20 ms: bursts, pauses, and a steady flow above the limit. */
const OFFERED = [
  ...Array.from({ length: 50 }, () => 12),
  ...Array.from({ length: 150 }, () => 0),
  ...Array.from({ length: 1_300 }, () => 1),
];

/** Number of requests that an exact sliding window admits of those that arrived at these times. */
function admittedByOracle(arrivals: readonly number[]): number {
  const admitted: number[] = [];
  for (const at of arrivals) {
    const inWindow = admitted.length - admitted.findLastIndex((earlier) => earlier <= at - WINDOW_MS) - 1;
    if (inWindow < MAX_REQUESTS) admitted.push(at);
  }
  return admitted.length;
}

it.runIf(isFull)(
  "admits no request beyond a rate limit in any window over three gateways, and most of what an exact one does",
  async () => {
    const policy = await startPolicyUnderTest();
    const three = [1, 2, 3].map(() => startGatewayOnSlices(policy.subscriber()));
    try {
      await eventually(() => three.every(({ keeper }) => keeper.current !== undefined));
      const namespaceId = newId("ns");
      const { lineage } = policy.key(namespaceId);
      await policy.bound(namespaceId, {
        kind: "rate_limit",
        windowSecs: WINDOW_MS / 1_000,
        maxRequests: BigInt(MAX_REQUESTS),
      });
      const arrivals: number[] = [];
      const admittedAt: number[] = [];
      const running: Promise<void>[] = [];
      let onSlices = 0;
      const offer = async (n: number): Promise<void> => {
        arrivals.push(performance.now());
        const gateway = three[n % three.length] ?? expect.fail();
        const request = await gateway.admit(namespaceId, lineage, 1);
        if (!request.decision.admitted) return;
        admittedAt.push(performance.now());
        if (request.isOnSlices) onSlices++;
        request.settle(1);
      };
      for (const [turn, count] of OFFERED.entries()) {
        // Traffic moves from gateway to gateway every second.
        for (let n = 0; n < count; n++) running.push(offer(Math.floor(turn / 50) + (n % 2)));
        await delay(20);
      }
      await Promise.all(running);
      const sorted = admittedAt.toSorted((a, b) => a - b);
      // Here an admission is dated by its answer, in the service by its grant. They differ by at most the time of the call, so a slightly
      // shorter window is checked.
      const SHORTER_MS = 300;
      for (const [index, at] of sorted.entries()) {
        const beyond = sorted[index + MAX_REQUESTS];
        if (beyond !== undefined) expect(beyond - at).toBeGreaterThan(WINDOW_MS - SHORTER_MS);
      }
      const exact = admittedByOracle(arrivals);
      process.stdout.write(`admitted ${sorted.length} of ${exact}, ${onSlices} on slices\n`);
      expect(sorted.length).toBeGreaterThanOrEqual(0.97 * exact);
      expect(onSlices).toBeGreaterThan(sorted.length / 4);
    } finally {
      await Promise.all(three.map((gateway) => gateway.stop()));
      await policy.stop();
    }
  },
  120_000,
);
