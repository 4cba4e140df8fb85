import { setTimeout as delay } from "node:timers/promises";
import { MAX_REQUEST_COST_NANO_USD, newId } from "@routeplane/domain";
import { readMetrics } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, startPolicyUnderTest } from "../../policy/test/policy-under-test.ts";
import { type OpenRequest, startGatewayOnSlices } from "./gateway-on-slices.ts";

/** Admission on slices over a real policy service: several gateway processes share its counters. */

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

type Gateway = ReturnType<typeof startGatewayOnSlices>;
const gateways: Gateway[] = [];
afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()));
});

/** Starts a gateway, and waits until it has a session and receives changes, so that it may use the limits that it has read. */
async function startGateway(elapsed?: () => number, transport = policy.subscriber()): Promise<Gateway> {
  const gateway = startGatewayOnSlices(transport, elapsed);
  gateways.push(gateway);
  await eventually(() => gateway.keeper.current !== undefined);
  const nobody = newId("ns");
  const { lineage } = policy.key(nobody);
  await eventually(async () => (await gateway.admit(nobody, lineage, 1)).isOnSlices);
  return gateway;
}

/** Settles requests that were admitted. @returns their number */
function settleAll(requests: readonly OpenRequest[], costMicroUsd: number): number {
  const admitted = requests.filter(({ decision }) => decision.admitted);
  for (const request of admitted) request.settle(costMicroUsd);
  return admitted.length;
}

/** Transport of a gateway to the policy service, and the number of its calls. */
function countedSubscriber() {
  const subscriber = policy.subscriber();
  const counting: typeof subscriber = {
    ...subscriber,
    unary(...args) {
      counted.calls++;
      return subscriber.unary(...args);
    },
  };
  const counted = { calls: 0, subscriber: counting };
  return counted;
}

describe("admission on slices", () => {
  it("makes no call for a warm request, and reports what it cost within a second", async () => {
    const counted = countedSubscriber();
    const { namespaceId, key, total } = await policy.oneBudget(1_000_000n);
    const gateway = await startGateway(undefined, counted.subscriber);
    const first = await gateway.admit(namespaceId, key.lineage, 10);
    expect(first.isOnSlices).toBe(true);
    first.settle(4);
    const before = counted.calls;
    const second = await gateway.admit(namespaceId, key.lineage, 10);
    expect([second.isOnSlices, counted.calls]).toEqual([true, before]);
    second.settle(3);
    await eventually(async () => (await total())?.spentNano === 7_000n, 2_000);
  });

  it("makes no call if no limit applies", async () => {
    const namespaceId = newId("ns");
    const { lineage } = policy.key(namespaceId);
    const gateway = await startGateway();
    const { decision } = await gateway.admit(namespaceId, lineage, 10);
    expect(decision).toMatchObject({ admitted: true, expiresAt: undefined });
    expect(decision).not.toHaveProperty("slices");
  });

  it("of 300 concurrent requests over three gateways overspends no budget, and uses at least 97 % of it", async () => {
    const { namespaceId, key, total } = await policy.oneBudget(1_200n);
    const three = await Promise.all([startGateway(), startGateway(), startGateway()]);
    const costs = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const request = await (three[n % 3] ?? expect.fail()).admit(namespaceId, key.lineage, 6);
        if (!request.decision.admitted) return 0;
        // The last ones may be admitted with a lower bound.
        const cost = Math.min(6, request.decision.outputTokensMax);
        request.settle(cost);
        return cost;
      }),
    );
    const spent = costs.reduce((sum, cost) => sum + cost, 0);
    expect(spent).toBeLessThanOrEqual(1_200);
    expect(spent).toBeGreaterThanOrEqual(0.97 * 1_200);
    await eventually(async () => (await total())?.spentNano === BigInt(spent) * 1_000n);
  });

  it("uses 97 % of a budget whose traffic moves from gateway to gateway", async () => {
    const { namespaceId, key, total } = await policy.oneBudget(3_000n);
    const three = await Promise.all([startGateway(), startGateway(), startGateway()]);
    let admitted = 0;
    for (let turn = 0; turn < 60; turn++) {
      const gateway = three[Math.floor(turn / 5) % 3] ?? expect.fail();
      const requests = await Promise.all(Array.from({ length: 10 }, () => gateway.admit(namespaceId, key.lineage, 8)));
      admitted += settleAll(requests, 8);
    }
    expect(admitted * 8).toBeLessThanOrEqual(3_000);
    expect(admitted * 8).toBeGreaterThanOrEqual(0.97 * 3_000);
    await eventually(async () => (await total())?.spentNano === BigInt(admitted) * 8_000n);
  });

  it("returns unused slices", async () => {
    const { namespaceId, key, total } = await policy.oneBudget(10_000n);
    const gateway = await startGateway();
    settleAll([await gateway.admit(namespaceId, key.lineage, 10)], 10);
    expect((await total())?.reservedNano).toBeGreaterThan(0n);
    await eventually(async () => (await total())?.reservedNano === 0n, 10_000);
  });

  it("spends nothing beyond a lowered limit of what it was granted under the former one", async () => {
    const { namespaceId, key, budget, total } = await policy.oneBudget(1_000_000n);
    const gateway = await startGateway();
    settleAll([await gateway.admit(namespaceId, key.lineage, 10)], 10);
    await eventually(async () => (await total())?.spentNano === 10_000n, 2_000);
    const former = gateway.limitsOf(namespaceId, key.id);
    await policy.as(key.token).budgets.updateBudget({ id: budget.id, limitMicroUsd: 13n });
    await eventually(async () => {
      await gateway.listApplied(namespaceId, key.lineage);
      return gateway.limitsOf(namespaceId, key.id) !== former;
    });
    const first = await gateway.admit(namespaceId, key.lineage, 10);
    expect(first.decision).toMatchObject({ admitted: true, outputTokensMax: 3 });
    first.settle(3);
    expect((await gateway.admit(namespaceId, key.lineage, 10)).decision.admitted).toBe(false);
    await eventually(async () => (await total())?.reservedNano === 0n, 5_000);
    expect((await total())?.spentNano).toBe(13_000n);
  });

  it("gives back what a request frees after its limit was disabled", async () => {
    const { namespaceId, key, budget, total } = await policy.oneBudget(1_000n);
    const gateway = await startGateway();
    const running = await gateway.admit(namespaceId, key.lineage, 500);
    await policy.as(key.token).policies.disablePolicy({ id: budget.id });
    await eventually(async () => (await total())?.reservedNano === 500_000n, 10_000);
    running.settle(10);
    await eventually(async () => (await total())?.reservedNano === 0n, 10_000);
    expect((await total())?.spentNano).toBe(10_000n);
  });

  it("repeats its returns of a namespace that failed in a call", async () => {
    const [sound, failing] = [await policy.oneBudget(10_000n), await policy.oneBudget(10_000n)];
    const gateway = await startGateway();
    for (const { namespaceId, key } of [sound, failing])
      settleAll([await gateway.admit(namespaceId, key.lineage, 10)], 10);
    await eventually(async () => (await failing.total())?.spentNano === 10_000n, 2_000);
    const mend = await policy.corrupt(failing.budget.id);
    gateway.keeper.recall([sound.binding.id, failing.binding.id]);
    await eventually(async () => (await sound.total())?.reservedNano === 0n, 10_000);
    await mend();
    await eventually(async () => (await failing.total())?.reservedNano === 0n, 5_000);
  });

  it("returns everything at a clean stop, with what running requests used", async () => {
    const { namespaceId, key, total } = await policy.oneBudget(10_000n);
    const gateway = await startGateway();
    const running = await gateway.admit(namespaceId, key.lineage, 10);
    running.settle(4);
    await gateway.stop();
    expect(await total()).toMatchObject({ spentNano: 4_000n, reservedNano: 0n });
  });

  it("admits nothing on a session that has expired", async () => {
    let skippedMs = 0;
    const { namespaceId, key } = await policy.oneBudget(10_000n);
    const gateway = await startGateway(() => performance.now() + skippedMs);
    const running = await gateway.admit(namespaceId, key.lineage, 10);
    expect(running.isOnSlices).toBe(true);
    skippedMs = 40_000;
    const { decision } = running;
    expect(decision.admitted && decision.slices?.maySend).toBe(false);
    // Not until it is renewed, which the next tick of the keeper does.
    expect(gateway.keeper.current?.session.isUsable(performance.now() + skippedMs)).toBe(false);
  });

  it("admits no more than a rate limit within its window, over three gateways", async () => {
    const namespaceId = newId("ns");
    const { lineage } = policy.key(namespaceId);
    await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxRequests: 100n, maxTokens: 900n });
    const three = await Promise.all([startGateway(), startGateway(), startGateway()]);
    let [admitted, onSlices] = [0, 0];
    for (let turn = 0; turn < 20; turn++) {
      const requests = await Promise.all(
        three.flatMap((gateway) => [1, 2].map(() => gateway.admit(namespaceId, lineage, 5))),
      );
      onSlices += requests.filter((request) => request.isOnSlices).length;
      admitted += settleAll(requests, 5);
    }
    expect(admitted).toBeLessThanOrEqual(100);
    expect(admitted).toBeGreaterThanOrEqual(90);
    expect(onSlices).toBeGreaterThan(20);
  });

  it("returns slices over one process of the policy service to an admission that waits at another one", async () => {
    const { namespaceId, key, request, total } = await policy.oneBudget(100n);
    const gateway = await startGateway();
    const admitter = policy.process();
    let settled = 0;
    for (let rounds = 0; rounds < 4; rounds++) {
      // While it is recalled the gateway gives back what becomes free, and keeps nothing.
      const { spentNano } = await eventually(async () => {
        settled += settleAll([await gateway.admit(namespaceId, key.lineage, 1)], 1);
        await eventually(async () => (await total())?.spentNano === BigInt(settled) * 1_000n);
        const known = await total();
        return known !== undefined && known.reservedNano > 0n && known;
      });
      // The request needs all that is left, and the gateway holds a part of that.
      const outputTokensMax = 100n - spentNano / 1_000n;
      const { requestId } = request(outputTokensMax);
      const names = { namespaceId, requestId, lineage: [...key.lineage] };
      const price = { inputPicoUsd: 0n, outputPicoUsd: 1_000_000n };
      const { outcome } = await admitter.admission.admit({ ...names, price, outputTokensMax });
      expect(outcome).toMatchObject({ case: "admission", value: { outputTokensMax } });
      await policy.admission.void({ namespaceId, keyId: key.id, requestId }, true);
      // A binding is recalled twice a second at most.
      await delay(500);
    }
    expect((await total())?.spentNano).toBe(BigInt(settled) * 1_000n);
  });

  it("neither refuses requests that a shadow budget would deny, nor makes a call for each", async () => {
    const counted = countedSubscriber();
    const { namespaceId, key } = await policy.oneBudget(1_000_000n);
    const spec = { kind: "budget", window: "day", limitMicroUsd: 20n } as const;
    const { binding } = await policy.bound(namespaceId, spec, undefined, "shadow");
    // One gateway holds all of it: the requests of the other one fit only once it is returned.
    const [holder, gateway] = await Promise.all([startGateway(), startGateway(undefined, counted.subscriber)]);
    const held = await holder.admit(namespaceId, key.lineage, 20);
    expect(held.decision.admitted).toBe(true);
    counted.calls = 0;
    const startedAt = performance.now();
    let denials = 0;
    for (let n = 0; n < 200; n++) {
      const request = await gateway.admit(namespaceId, key.lineage, 10);
      const { decision } = request;
      expect(decision.admitted).toBe(true);
      if (decision.shadowDenials.some(({ bindingId }) => bindingId === binding.id)) denials++;
      request.settle(1);
      if (n % 20 === 0) await delay(20);
    }
    expect(denials).toBe(200);
    // Every 250 ms one request calls again, for a slice and then for an admission; reports and refills are calls too.
    const quarters = (performance.now() - startedAt) / 250;
    expect(counted.calls).toBeLessThan(20 + quarters * 10);
    held.settle(1);
  });

  it("gives up a settlement that can never be applied, logs it, and applies the others of its report", async () => {
    const refusals = async (): Promise<number> => {
      const { text } = await readMetrics();
      return Number(/^routeplane_policy_reports_total\{outcome="refused"\} (\d+)/m.exec(text)?.[1] ?? 0);
    };
    const before = await refusals();
    const { namespaceId, key, total } = await policy.oneBudget(1_000_000n);
    const gateway = await startGateway();
    const admit = () => gateway.admit(namespaceId, key.lineage, 10);
    const requests = [await admit(), await admit(), await admit()];
    expect(requests.map(({ isOnSlices }) => isOnSlices)).toEqual([true, true, true]);
    // No request can cost so much.
    const absurd = Number(MAX_REQUEST_COST_NANO_USD / 1_000n) + 1;
    for (const [index, request] of requests.entries()) request.settle(index === 1 ? absurd : 4);
    const bad = [...gateway.usageLog.pending.values()].find(({ costNanoUsd }) => costNanoUsd > 4_000n);
    await eventually(async () => (await total())?.spentNano === 8_000n);
    // Nothing is left for the next process, nor reported again.
    await eventually(() => gateway.usageLog.pending.size === 0);
    const named = gateway.lines.filter((line) => line.includes("refused by the policy service and dropped"));
    expect(named).toEqual([expect.stringContaining(bad?.requestId ?? "no request was bad")]);
    await gateway.stop();
    expect(await refusals()).toBe(before + 1);
    expect(await total()).toMatchObject({ spentNano: 8_000n });
  });

  it("admits centrally while no session can be opened", async () => {
    const { namespaceId, key } = await policy.oneBudget(10_000n);
    const gateway = startGatewayOnSlices(policy.subscriber());
    gateways.push(gateway);
    await gateway.keeper.stop();
    const request = await gateway.admit(namespaceId, key.lineage, 10);
    expect([request.decision.admitted, request.isOnSlices]).toEqual([true, false]);
  });
});
