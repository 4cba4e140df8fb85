import { newId } from "@routeplane/domain";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Calls, simulateFleet, type SimulatedRequest, useSimulatedClock } from "./simulated-fleet.ts";
import type { SimulatedBinding } from "../../policy/test/simulated-policy.ts";

vi.mock("node:timers/promises", async () => await import("./simulated-timers.ts"));
beforeEach(useSimulatedClock);
afterEach(() => void vi.useRealTimers());

const NANO = 1_000n;
type Fleet = ReturnType<typeof simulateFleet>;

function budgetOf(limitMicroUsd: bigint): SimulatedBinding {
  return { bindingId: newId("bnd"), limits: { budget: { window: "day", limitNano: limitMicroUsd * NANO } } };
}

function rateLimitOf(windowSecs: number, maxRequests: bigint, maxTokens?: bigint): SimulatedBinding {
  const rateLimit = { windowSecs, maxRequests, ...(maxTokens !== undefined && { maxTokens }) };
  return { bindingId: newId("bnd"), limits: { rateLimit } };
}

/** Starts gateways, and waits until each has its session. */
async function startFleet(count: number, bindings: readonly SimulatedBinding[], phaseMs = 100): Promise<Fleet> {
  const fleet = simulateFleet(count, bindings);
  await fleet.pass(phaseMs);
  return fleet;
}

/** Calls that were made between two moments, for 1,000 requests. */
function perThousand(before: Calls, after: Calls, requests: number) {
  const of = (name: keyof Calls): number => ((after[name] - before[name]) * 1_000) / requests;
  return { forSlices: of("acquire") + of("admit"), reports: of("report") };
}

describe("calls to the policy service while little of a limit is used", () => {
  it("are fewer than five in 1,000 requests for slices, and five for reports, with every kind of limit", async () => {
    const fleet = await startFleet(1, [
      budgetOf(10n ** 9n),
      budgetOf(10n ** 9n),
      rateLimitOf(60, 10n ** 8n, 10n ** 11n),
    ]);
    const send = async (requests: number): Promise<void> => {
      for (let n = 0; n < requests; n++) {
        void fleet.request(0, 100);
        await fleet.pass(1);
      }
    };
    await send(2_000);
    const before = { ...fleet.calls };
    await send(6_000);
    const { forSlices, reports } = perThousand(before, fleet.calls, 6_000);
    expect(forSlices).toBeLessThan(5);
    expect(reports).toBeLessThan(5);
    await fleet.stop();
  });

  it("are fewer than five in 1,000 requests for one budget that three gateways share", async () => {
    const REQUESTS = 40_000;
    const fleet = await startFleet(3, [budgetOf(BigInt(REQUESTS))]);
    let admitted = 0;
    const send = async (requests: number): Promise<void> => {
      for (let n = 0; n < requests; n++) {
        void fleet.request(n, 1).then(({ isAdmitted }) => (admitted += Number(isAdmitted)));
        if (n % 3 === 0) await fleet.pass(1);
      }
    };
    await send(2_000);
    const before = { ...fleet.calls };
    // Until 10 % of the budget is left.
    await send(0.9 * REQUESTS - 2_000);
    expect(perThousand(before, fleet.calls, 0.9 * REQUESTS - 2_000).forSlices).toBeLessThan(5);
    await fleet.pass(1_000);
    expect(admitted).toBe(0.9 * REQUESTS);
    await fleet.stop();
  });
});

describe("a limit that three gateways share, with traffic that moves every second", () => {
  it.each([
    ["budget", budgetOf(3_000n)],
    ["limit of requests", rateLimitOf(60, 3_000n)],
    ["limit of tokens", rateLimitOf(60, 10n ** 9n, 3_000n)],
  ])("is usable to 97 %%: %s", async (_, binding) => {
    const fleet = await startFleet(3, [binding]);
    let admitted = 0;
    const running: Promise<void>[] = [];
    for (let turn = 0; turn < 500; turn++) {
      for (let n = 0; n < 10; n++) {
        const request = fleet.request(Math.floor(turn / 100), 1);
        running.push(request.then(({ isAdmitted }) => void (admitted += Number(isAdmitted))));
      }
      await fleet.pass(10);
    }
    await fleet.pass(2_000);
    await Promise.all(running);
    expect(admitted).toBeLessThanOrEqual(3_000);
    expect(admitted).toBeGreaterThanOrEqual(0.97 * 3_000);
    await fleet.stop();
  });
});

describe("requests that do not fit", () => {
  it("cost the policy service fewer than 60 calls in 1,000, and each is refused with its message", async () => {
    const fleet = await startFleet(1, [budgetOf(1_000n)]);
    await Promise.all([fleet.request(0, 1_000), fleet.pass(2_000)]);
    const refused: SimulatedRequest[] = [];
    const send = async (requests: number): Promise<void> => {
      for (let n = 0; n < requests; n++) {
        void fleet.request(0, 5).then((request) => refused.push(request));
        await fleet.pass(1);
      }
    };
    await send(1_000);
    const before = { ...fleet.calls };
    await send(3_000);
    expect(perThousand(before, fleet.calls, 3_000).forSlices).toBeLessThan(60);
    await fleet.pass(1_000);
    expect(refused).toHaveLength(4_000);
    const denials = refused.map(({ decision }) => (decision.admitted ? undefined : decision.denial));
    expect(denials[0]?.message).toContain("has 0 micro-USD left; the request needs at least 1 micro-USD");
    for (const denial of denials) expect(denial).toEqual(denials[0]);
    await fleet.stop();
  });

  it("are admitted at once if a report of the same gateway has freed what they need", async () => {
    const fleet = await startFleet(1, [budgetOf(1_000n)]);
    const running = fleet.open(0, 1_000);
    await fleet.pass(50);
    const refused = fleet.request(0, 500);
    await fleet.pass(400);
    expect((await refused).isAdmitted).toBe(false);
    (await running).settle(10);
    // It is acknowledged, and reported after a short wait for further reports.
    await fleet.pass(20);
    void fleet.request(0, 500);
    await fleet.pass(240);
    const fits = fleet.request(0, 500);
    await fleet.pass(50);
    expect((await fits).isAdmitted).toBe(true);
    await fleet.stop();
  });

  it("under a shadow binding only are admitted on the slices of the other limits, and reported as its denials", async () => {
    const shadow = { ...budgetOf(100n), shadow: true };
    const fleet = await startFleet(1, [budgetOf(10n ** 9n), shadow]);
    const requests: SimulatedRequest[] = [];
    const send = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        void fleet.request(0, 5).then((request) => requests.push(request));
        await fleet.pass(1);
      }
    };
    await send(1_000);
    const before = { ...fleet.calls };
    await send(3_000);
    expect(perThousand(before, fleet.calls, 3_000).forSlices).toBeLessThan(60);
    await fleet.pass(1_000);
    expect(requests.filter(({ isAdmitted }) => isAdmitted)).toHaveLength(4_000);
    const denied = requests.filter(({ decision }) => decision.shadowDenials[0]?.bindingId === shadow.bindingId);
    expect(denied.length).toBeGreaterThanOrEqual(4_000 - 20);
    await fleet.stop();
  });
});

/** Number of requests that an exact sliding window admits of those that arrived at these times. */
function admittedExactly(arrivals: readonly number[], maxRequests: number, windowMs: number): number {
  const admitted: number[] = [];
  for (const at of arrivals) {
    const inWindow = admitted.length - admitted.findLastIndex((earlier) => earlier <= at - windowMs) - 1;
    if (inWindow < maxRequests) admitted.push(at);
  }
  return admitted.length;
}

describe("a rate limit over three gateways", () => {
  // A burst, a pause, and a steady flow above the limit: three windows and a part of one.
  const turns = (factor: number): number[] => [
    ...Array.from({ length: 50 * factor }, () => 12),
    ...Array.from({ length: 150 * factor }, () => 0),
    ...Array.from({ length: 1_337 * factor }, () => 1),
  ];
  it.each([
    { windowSecs: 10, maxRequests: 300, phaseMs: 100 },
    { windowSecs: 10, maxRequests: 300, phaseMs: 1_133 },
    { windowSecs: 10, maxRequests: 300, phaseMs: 2_347 },
    { windowSecs: 30, maxRequests: 900, phaseMs: 2_347 },
    { windowSecs: 30, maxRequests: 900, phaseMs: 5_551 },
  ])(
    "admits no request beyond it in any window, and 97 % of an exact one: $windowSecs s from $phaseMs ms",
    async (given) => {
      const { windowSecs, maxRequests, phaseMs } = given;
      const fleet = await startFleet(3, [rateLimitOf(windowSecs, BigInt(maxRequests))], phaseMs);
      const [arrivals, admittedAt]: [number[], number[]] = [[], []];
      let onSlices = 0;
      const running: Promise<void>[] = [];
      const offer = async (n: number): Promise<void> => {
        arrivals.push(performance.now());
        const { isAdmitted, isOnSlices } = await fleet.request(n, 1);
        if (isAdmitted) admittedAt.push(performance.now());
        if (isOnSlices) onSlices++;
      };
      for (const [turn, count] of turns(windowSecs / 10).entries()) {
        for (let n = 0; n < count; n++) running.push(offer(Math.floor(turn / 50) + (n % 2)));
        await fleet.pass(20);
      }
      await fleet.pass(2_000);
      await Promise.all(running);
      const sorted = admittedAt.toSorted((a, b) => a - b);
      // A request is admitted before its answer is back.
      const WAY_MS = 2;
      for (const [index, at] of sorted.entries()) {
        const beyond = sorted[index + maxRequests];
        if (beyond !== undefined) expect(beyond - at).toBeGreaterThan(windowSecs * 1_000 - WAY_MS);
      }
      const exact = admittedExactly(arrivals, maxRequests, windowSecs * 1_000);
      expect(sorted.length).toBeGreaterThanOrEqual(0.97 * exact);
      expect(onSlices).toBeGreaterThan(sorted.length / 2);
      await fleet.stop();
    },
  );
});
