import { Code, createClient } from "@connectrpc/connect";
import { EnforcementService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { watchChanges } from "@routeplane/rpc";
import { readMetrics } from "@routeplane/runtime";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGateway } from "./gateway-under-test.ts";
import {
  MICRO_PER_TOKEN,
  type PolicyUnderTest,
  refusal,
  SERVICE_TOKEN,
  startPolicyUnderTest,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const service = () => policy.as(SERVICE_TOKEN);

/** Open session on a budget of 100 micro-USD, and the admission of a request at one micro-USD a token. */
async function gatewayOn() {
  const { key, binding, total } = await policy.oneBudget(100n);
  const gateway = openGateway(service().sessions);
  await gateway.renew();
  const { namespaceId, lineage } = key;
  const admit = (outputTokensMax: bigint, more: object = {}) =>
    service().admission.admit({
      namespaceId,
      lineage: [...lineage],
      requestId: newId("req"),
      price: MICRO_PER_TOKEN,
      outputTokensMax,
      ...more,
    });
  const money = (counter: Parameters<typeof gateway.money>[2]) => gateway.money(namespaceId, binding.id, counter);
  return { ...gateway, namespaceId, admit, money, total, bindingId: binding.id };
}

/** Messages that a gateway receives on the feed of another process, in the form of every release. */
async function listenToFeed() {
  const recalled: string[] = [];
  const gaps: number[] = [];
  const { watchPolicyChanges } = createClient(EnforcementService, policy.subscriber());
  const watch = watchChanges({
    call: async function* (options) {
      for await (const message of watchPolicyChanges({}, options)) {
        recalled.push(...message.recalledBindingIds);
        yield message;
      }
    },
    monotonic: () => performance.now(),
    onChange: () => {},
    onGap: (at) => gaps.push(at),
  });
  await eventually(() => watch.isLive());
  return { watch, recalled, gaps };
}

describe("an admission that names its gateway session", () => {
  it("is decided if the session is open, and refused if it is unknown, left, ended or closed", async () => {
    const { admit, sessionId, renew } = await gatewayOn();
    expect((await admit(10n, { sessionId })).outcome.case).toBe("admission");
    const isRefused = async (id: string) =>
      expect(await refusal(admit(10n, { sessionId: id }))).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "SESSION_ENDED",
      });
    await isRefused(newId("gws"));
    await renew(2n, 1n);
    await renew(2n, 2n);
    await isRefused(sessionId);
    for (const state of ["ended", "settled", "closed"]) {
      const { sessionId: other } = await gatewayOn();
      await policy.tamper(sql`update gateway_sessions set state = ${state} where id = ${other}`);
      await isRefused(other);
    }
  });
});

describe("an admission that fits only without what is outstanding", () => {
  it("asks every gateway to return it, and is admitted once that has happened", async () => {
    const { watch, recalled, gaps } = await listenToFeed();
    const { admit, money, bindingId, total } = await gatewayOn();
    await money({ needed: 60_000n });
    const admitted = admit(80n);
    await eventually(() => recalled.includes(bindingId));
    await money({ granted: 60_000n, returned: 60_000n });
    expect((await admitted).outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 80n } });
    expect((await total())?.reservedNano).toBe(80_000n);
    // The recall repeated the last number: a gateway of any release has missed nothing.
    expect([gaps, watch.isLive()]).toEqual([[], true]);
    await watch.stop();
  });

  it("is lowered, or refused, only after a wait in which nothing was returned", async () => {
    const { admit, money } = await gatewayOn();
    await money({ needed: 60_000n });
    const startedAt = performance.now();
    expect((await admit(80n)).outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 40n } });
    expect(performance.now() - startedAt).toBeGreaterThan(200);
    const full = await gatewayOn();
    await full.money({ needed: 100_000n });
    expect((await full.admit(80n)).outcome).toMatchObject({ case: "denial", value: { rule: "budget" } });
  });

  it("is refused firmly only if neither slices nor running requests are in the way", async () => {
    const { admit, money } = await gatewayOn();
    await money({ needed: 60_000n });
    await admit(40n);
    expect((await admit(80n)).outcome).toMatchObject({ case: "denial", value: { isFirm: false } });
    const spent = await gatewayOn();
    await spent.money({ needed: 60_000n });
    await spent.report(spent.settled(spent.namespaceId, 60_000n, 99_500n));
    expect((await spent.admit(80n)).outcome).toMatchObject({ case: "denial", value: { isFirm: true } });
  });

  it("does not wait if nothing is outstanding, or if it would not fit anyway", async () => {
    const { admit } = await gatewayOn();
    const before = await recallCount();
    await admit(100n);
    expect((await admit(10n)).outcome.case).toBe("denial");
    const other = await gatewayOn();
    await other.admit(90n);
    await other.money({ needed: 1_000n });
    expect((await other.admit(500n, { refuseRatherThanLower: true })).outcome.case).toBe("denial");
    expect(await recallCount()).toBe(before);
  });
});

describe("a shadow binding of which nothing is left but slices", () => {
  it("refuses nothing, and makes no admission wait for returns of gateways", async () => {
    const { admit, money, namespaceId, total } = await gatewayOn();
    const spec = { kind: "budget", window: "day", limitMicroUsd: 50n } as const;
    const { binding } = await policy.bound(namespaceId, spec, undefined, "shadow");
    const other = openGateway(service().sessions);
    await other.renew();
    await other.money(namespaceId, binding.id, { needed: 50_000n });
    const before = await recallCount();
    for (let n = 0; n < 5; n++) {
      const { outcome, shadowDenials } = await admit(10n);
      expect(outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 10n } });
      expect(shadowDenials).toMatchObject([{ bindingId: binding.id, rule: "budget" }]);
    }
    expect(await recallCount()).toBe(before);
    // Together with an enforced budget, only slices of the enforced one are recalled.
    await money({ needed: 40_000n });
    const admitted = admit(30n);
    await eventually(async () => (await recallCount()) > before);
    await money({ granted: 40_000n, returned: 40_000n });
    expect((await admitted).outcome).toMatchObject({ case: "admission", value: { outputTokensMax: 30n } });
    expect((await other.money(namespaceId, binding.id, { granted: 50_000n })).returned).toBe(0n);
    expect((await total())?.reservedNano).toBe(80_000n);
  });
});

async function recallCount(): Promise<number> {
  const [, value = "0"] = /^routeplane_policy_recalls_total (\d+)/m.exec((await readMetrics()).text) ?? [];
  return Number(value);
}
