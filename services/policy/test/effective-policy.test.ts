import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { BindingMode, BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const { NAMESPACE, API_KEY } = PrincipalType;

/** Namespace with a key and a sub-key, and clients of the sub-key. */
function namespaceWithLineage() {
  const { namespaceId, key: parent } = policy.newNamespace();
  const child = policy.key(namespaceId, parent);
  const { effective } = policy.as(child.token);
  const of = async (principalType: PrincipalType, principalId: string) =>
    (await effective.getEffectivePolicy({ principalType, principalId })).effectivePolicy ?? expect.fail("no policy");
  return { namespaceId, parent, child, of };
}

describe("the effective policy", () => {
  it("of a key has the policies of its namespace and of every key above it, each rule with its source", async () => {
    const { namespaceId, parent, child, of } = namespaceWithLineage();
    const onAll = await policy.bound(namespaceId, { kind: "guardrail", maxRequestTokens: 500 });
    const onParent = await policy.bound(namespaceId, { kind: "guardrail", maxRequestTokens: 100 }, parent.id);
    const onChild = await policy.bound(namespaceId, { kind: "guardrail", allowStreaming: false }, child.id, "shadow");
    const limit = await policy.bound(namespaceId, { kind: "rate_limit", windowSecs: 60, maxRequests: 5n }, parent.id);
    const source = ({ policy: { id, name }, binding }: typeof onAll) => ({
      policyId: id,
      policyName: name,
      bindingId: binding.id,
      principalId: binding.principal.id,
    });
    const effective = await of(API_KEY, child.id);
    expect(effective).toMatchObject({
      principalType: API_KEY,
      principalId: child.id,
      lineage: child.lineage,
      guardrail: { maxRequestTokens: { tokens: 100n, sources: [{ ...source(onParent), principalType: API_KEY }] } },
      shadowGuardrail: {
        allowStreaming: { allowed: false, sources: [{ ...source(onChild), mode: BindingMode.SHADOW }] },
      },
      rateLimits: [{ source: source(limit), spec: { windowSecs: 60, maxRequests: 5n } }],
      budgets: [],
    });
    expect(effective.guardrail?.allowStreaming).toBeUndefined();
    const ofAll = await of(NAMESPACE, namespaceId);
    expect(ofAll).toMatchObject({
      lineage: [],
      guardrail: { maxRequestTokens: { tokens: 500n, sources: [{ ...source(onAll), principalType: NAMESPACE }] } },
      rateLimits: [],
    });
    expect(ofAll.shadowGuardrail).toBeUndefined();
  });

  it("shows what of each budget is spent, reserved and remaining, and when it frees up", async () => {
    const { namespaceId, parent, child, of } = namespaceWithLineage();
    const budget = { window: "day", limitMicroUsd: 1_000n } as const;
    const onAll = await policy.bound(namespaceId, { kind: "budget", ...budget });
    const total = { window: "total", limitMicroUsd: 70n } as const;
    await policy.bound(namespaceId, { kind: "budget", ...total }, parent.id);
    const settled = requestOf(namespaceId, child.lineage, 60n);
    await policy.admission.admit(settled);
    await policy.admission.settle(settled, used(40_000n));
    await policy.admission.admit(requestOf(namespaceId, child.lineage, 20n));
    const { budgets } = await of(API_KEY, child.id);
    expect(budgets).toMatchObject([
      {
        source: { bindingId: onAll.binding.id, principalType: NAMESPACE, mode: BindingMode.ENFORCE },
        spec: { window: BudgetWindow.DAY, limitMicroUsd: 1_000n },
        spentMicroUsd: 40n,
        reservedMicroUsd: 20n,
        remainingMicroUsd: 940n,
      },
      { spec: { window: BudgetWindow.TOTAL }, spentMicroUsd: 40n, reservedMicroUsd: 20n, remainingMicroUsd: 10n },
    ]);
    const freesUpMs = timestampMs(budgets[0]?.freesUpAt ?? expect.fail("never frees up"));
    const day = 86_400_000;
    expect(freesUpMs).toBeGreaterThanOrEqual(Date.now() + day - 60_000);
    expect(freesUpMs).toBeLessThanOrEqual(Date.now() + day * 1.01);
    expect(budgets[1]?.freesUpAt).toBeUndefined();
  });

  it("shows the consumption of each rate limit within its window, the running requests, and when it frees up", async () => {
    const { namespaceId, child, of } = namespaceWithLineage();
    const rateLimit = { windowSecs: 100, maxRequests: 5n } as const;
    await policy.bound(namespaceId, { kind: "preset", rateLimit, budget: { window: "total", limitMicroUsd: 500n } });
    const [settled, open] = [requestOf(namespaceId, child.lineage, 60n), requestOf(namespaceId, child.lineage, 20n)];
    for (const each of [settled, open]) await policy.admission.admit(each);
    await policy.admission.settle(settled, used(40_000n, 7n));
    const { rateLimits, budgets } = await of(API_KEY, child.id);
    expect(rateLimits).toMatchObject([{ requests: 2n, tokens: 27n, concurrent: 1n }]);
    expect(budgets).toMatchObject([{ spentMicroUsd: 40n, reservedMicroUsd: 20n }]);
    const inMs = timestampMs(rateLimits[0]?.freesUpAt ?? expect.fail("never frees up")) - Date.now();
    expect(inMs).toBeGreaterThan(90_000);
    expect(inMs).toBeLessThanOrEqual(101_000);
  });

  it("shows an overrun as spent, and nothing remaining", async () => {
    const { namespaceId, child, of } = namespaceWithLineage();
    await policy.budget(namespaceId, 50n);
    const request = requestOf(namespaceId, child.lineage, 50n);
    await policy.admission.admit(request);
    await policy.admission.settle(request, used(80_000n));
    const { budgets } = await of(NAMESPACE, namespaceId);
    expect(budgets).toMatchObject([{ spentMicroUsd: 80n, reservedMicroUsd: 0n, remainingMicroUsd: 0n }]);
  });

  it("leaves out disabled policies and those bound elsewhere, and is empty if nothing applies", async () => {
    const { namespaceId, child, of } = namespaceWithLineage();
    const sibling = policy.key(namespaceId);
    const { policy: off } = await policy.bound(namespaceId, { kind: "guardrail", allowStreaming: false });
    await policy.disable(off.id);
    await policy.budget(namespaceId, 50n, sibling.id);
    const effective = await of(API_KEY, child.id);
    expect(effective).toMatchObject({ budgets: [], rateLimits: [] });
    expect(effective.guardrail).toBeUndefined();
  });

  it("is refused while a policy in it cannot be read", async () => {
    const { namespaceId, parent, child, of } = namespaceWithLineage();
    const { policy: made } = await policy.bound(namespaceId, { kind: "guardrail", allowStreaming: false }, parent.id);
    await policy.corrupt(made.id);
    expect(await refusal(of(API_KEY, child.id))).toMatchObject({ code: Code.Internal });
    expect(await of(NAMESPACE, namespaceId)).toMatchObject({ budgets: [] });
  });

  it("needs policy:read, and is that of a principal of the caller's namespace", async () => {
    const { namespaceId, child, of } = namespaceWithLineage();
    const { effective } = policy.newNamespace(["policy:write"]);
    const request = { principalType: API_KEY, principalId: child.id };
    expect(await refusal(effective.getEffectivePolicy(request))).toMatchObject({ code: Code.PermissionDenied });
    const foreign = namespaceWithLineage();
    const unknown = await refusal(of(API_KEY, newId("key")));
    expect(unknown).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    for (const [type, id] of [
      [API_KEY, foreign.child.id],
      [API_KEY, namespaceId],
      [API_KEY, "key_x"],
      [NAMESPACE, foreign.namespaceId],
      [NAMESPACE, child.id],
    ] as const) {
      expect(await refusal(of(type, id))).toEqual(unknown);
    }
    const { UNSPECIFIED } = PrincipalType;
    expect((await refusal(of(UNSPECIFIED, child.id))).fields).toEqual(["principal_type"]);
  });

  it("is UNAVAILABLE while the database is down", async () => {
    const { namespaceId, child } = namespaceWithLineage();
    const without = policy.withoutDatabase().as(child.token);
    const request = { principalType: NAMESPACE, principalId: namespaceId };
    expect(await refusal(without.effective.getEffectivePolicy(request))).toMatchObject({ code: Code.Unavailable });
  });
});
