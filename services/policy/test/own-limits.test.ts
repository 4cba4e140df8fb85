import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { BindingMode, BudgetWindow, Dimension, LimitUnit, PrincipalType } from "@routeplane/contracts/policy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGateway } from "./gateway-under-test.ts";
import {
  type PolicyUnderTest,
  refusal,
  requestOf,
  SERVICE_TOKEN,
  startPolicyUnderTest,
  used,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const { MICRO_USD, REQUESTS, TOKENS, CONCURRENT } = LimitUnit;

/** Namespace with a key and a sub-key that holds no scope of policies, and the limits of the sub-key. */
function namespaceWithLineage() {
  const { namespaceId, key: parent } = policy.newNamespace();
  const child = policy.key(namespaceId, parent, ["inference:invoke"]);
  const { effective } = policy.as(child.token);
  const limits = async () => (await effective.getOwnLimits({})).limits;
  return { namespaceId, parent, child, limits };
}

describe("the own limits of a key", () => {
  it("need no scope, and are those of its namespace and of every key above it, each with its source", async () => {
    const { namespaceId, parent, child, limits } = namespaceWithLineage();
    const onAll = await policy.bound(namespaceId, { kind: "budget", window: "day", limitMicroUsd: 1_000n });
    const onParent = await policy.budget(namespaceId, 70n, parent.id, "total");
    const shadow = await policy.bound(
      namespaceId,
      { kind: "rate_limit", windowSecs: 60, maxRequests: 5n },
      child.id,
      "shadow",
    );
    const source = ({ policy: { id, name }, binding }: typeof onAll) => ({
      policyId: id,
      policyName: name,
      bindingId: binding.id,
      principalId: binding.principal.id,
    });
    const unused = { used: 0n, reserved: 0n, leased: 0n };
    const { NAMESPACE, API_KEY } = PrincipalType;
    const { ENFORCE, SHADOW } = BindingMode;
    const all = await limits();
    expect(all).toMatchObject([
      {
        source: { ...source(onAll), principalType: NAMESPACE, mode: ENFORCE },
        unit: MICRO_USD,
        window: BudgetWindow.DAY,
        windowSecs: 86_400,
        limit: 1_000n,
        left: 1_000n,
        ...unused,
      },
      {
        source: { ...source(onParent), principalType: API_KEY, mode: ENFORCE },
        window: BudgetWindow.TOTAL,
        windowSecs: 0,
        left: 70n,
      },
      {
        source: { ...source(shadow), principalType: API_KEY, mode: SHADOW },
        unit: REQUESTS,
        window: BudgetWindow.UNSPECIFIED,
        windowSecs: 60,
        limit: 5n,
        left: 5n,
        ...unused,
      },
    ]);
    expect(all.map(({ resetsAt }) => resetsAt)).toEqual([undefined, undefined, undefined]);
  });

  it("leave out guardrails, disabled policies and what is bound to a sibling or to a key below", async () => {
    const { namespaceId, parent, child, limits } = namespaceWithLineage();
    await policy.bound(namespaceId, { kind: "guardrail", allowStreaming: false });
    await policy.disable((await policy.budget(namespaceId, 50n)).policy.id);
    await policy.budget(namespaceId, 50n, policy.key(namespaceId, parent).id);
    await policy.budget(namespaceId, 50n, policy.key(namespaceId, child).id);
    expect(await limits()).toEqual([]);
  });

  it("report what is used, reserved and left of each maximum of a preset, and when a part of it is free again", async () => {
    const { namespaceId, child, limits } = namespaceWithLineage();
    const rateLimit = { windowSecs: 100, maxRequests: 5n, maxTokens: 100n, maxConcurrent: 3n };
    await policy.bound(namespaceId, { kind: "preset", rateLimit, budget: { window: "hour", limitMicroUsd: 500n } });
    const [settled, open] = [requestOf(namespaceId, child.lineage, 60n), requestOf(namespaceId, child.lineage, 20n)];
    for (const each of [settled, open]) await policy.admission.admit(each);
    await policy.admission.settle(settled, used(40_000n, 7n));
    const all = await limits();
    expect(all).toMatchObject([
      { unit: MICRO_USD, windowSecs: 3_600, limit: 500n, used: 40n, reserved: 20n, left: 440n },
      { unit: REQUESTS, windowSecs: 100, limit: 5n, used: 2n, reserved: 0n, left: 3n },
      { unit: TOKENS, windowSecs: 100, limit: 100n, used: 27n, reserved: 0n, left: 73n },
      { unit: CONCURRENT, windowSecs: 0, limit: 3n, used: 1n, reserved: 0n, left: 2n },
    ]);
    const inSecs = all.map(({ resetsAt }) => resetsAt && (timestampMs(resetsAt) - Date.now()) / 1_000);
    const [money, requests, tokens, concurrent] = inSecs;
    expect(money).toBeGreaterThan(3_500);
    expect(money).toBeLessThanOrEqual(3_636);
    for (const secs of [requests, tokens]) expect(secs).toBeGreaterThan(90);
    for (const secs of [requests, tokens]) expect(secs).toBeLessThanOrEqual(101);
    expect(concurrent).toBeUndefined();
  });

  it("report amounts set aside in slices of gateways as reserved and leased", async () => {
    const { namespaceId, limits } = namespaceWithLineage();
    const rateLimit = { windowSecs: 100, maxConcurrent: 100n };
    const budget = { window: "day", limitMicroUsd: 500n } as const;
    const { binding } = await policy.bound(namespaceId, { kind: "preset", rateLimit, budget });
    const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await gateway.renew();
    const { MONEY, CONCURRENT: SLOTS } = Dimension;
    const counters = [
      { bindingId: binding.id, dimension: MONEY, needed: 30_000n },
      { bindingId: binding.id, dimension: SLOTS, needed: 2n },
    ];
    await gateway.acquire({ namespaceId, limitSet: 1, counters });
    expect(await limits()).toMatchObject([
      { unit: MICRO_USD, used: 0n, reserved: 30n, leased: 30n, left: 470n },
      { unit: CONCURRENT, used: 0n, reserved: 2n, leased: 2n, left: 98n },
    ]);
  });

  it("have nothing left after an overrun, which is used in full", async () => {
    const { namespaceId, child, limits } = namespaceWithLineage();
    await policy.budget(namespaceId, 50n);
    const request = requestOf(namespaceId, child.lineage, 50n);
    await policy.admission.admit(request);
    await policy.admission.settle(request, used(80_000n));
    expect(await limits()).toMatchObject([{ limit: 50n, used: 80n, reserved: 0n, left: 0n }]);
  });

  it("are refused to an operator, which has none, and without a valid key", async () => {
    const operator = policy.as(policy.operator(["*:*"]));
    expect(await refusal(operator.effective.getOwnLimits({}))).toMatchObject({
      code: Code.PermissionDenied,
      reason: "KEY_REQUIRED",
      message: expect.stringContaining("namespace key"),
    });
    const unknown = policy.as("rp_unknown");
    expect(await refusal(unknown.effective.getOwnLimits({}))).toMatchObject({ code: Code.Unauthenticated });
    const gateway = policy.as(SERVICE_TOKEN);
    expect(await refusal(gateway.effective.getOwnLimits({}))).toMatchObject({ reason: "INTERNAL_ONLY" });
  });

  it("are refused while a policy among them cannot be read", async () => {
    const { namespaceId, parent, limits } = namespaceWithLineage();
    await policy.corrupt((await policy.budget(namespaceId, 50n, parent.id)).policy.id);
    expect(await refusal(limits())).toMatchObject({ code: Code.Internal });
  });
});
