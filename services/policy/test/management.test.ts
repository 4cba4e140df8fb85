import { Code } from "@connectrpc/connect";
import { BindingMode, BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bind, budget, create, spec } from "./management-calls.ts";
import { type PolicyUnderTest, refusal, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const rateLimit = spec({ rateLimit: { windowSecs: 60, maxRequests: "1" } });

describe("updating a policy", () => {
  it("replaces the fields that are set and keeps the rest, under a new etag each time", async () => {
    const own = policy.newNamespace();
    const made = await create(own);
    const { policy: renamed } = await own.policies.updatePolicy({ id: made.id, name: "new name" });
    expect(renamed).toEqual({ ...made, name: "new name", etag: expect.any(String) });
    const { policy: larger } = await own.policies.updatePolicy({ id: made.id, spec: budget(9) });
    expect(larger).toEqual({ ...renamed, spec: budget(9), etag: expect.any(String) });
    expect(new Set([made.etag, renamed?.etag, larger?.etag]).size).toBe(3);
    expect((await own.policies.getPolicy({ id: made.id })).policy).toEqual(larger);
  });

  it("changes only what its mask names", async () => {
    const own = policy.newNamespace();
    const made = await create(own);
    const request = { id: made.id, name: "new name", spec: budget(9), updateMask: { paths: ["name"] } };
    expect((await own.policies.updatePolicy(request)).policy).toMatchObject({ name: "new name", spec: made.spec });
  });

  it("is refused with an outdated or invalid etag, and changes nothing", async () => {
    const own = policy.newNamespace();
    const made = await create(own);
    const { policy: now } = await own.policies.updatePolicy({ id: made.id, spec: budget(9), etag: made.etag });
    for (const etag of [made.etag, "v0", "nonsense"]) {
      const error = await refusal(own.policies.updatePolicy({ id: made.id, spec: budget(1), etag }));
      expect(error).toMatchObject({ code: Code.Aborted, reason: "ETAG_MISMATCH" });
    }
    expect((await own.policies.getPolicy({ id: made.id })).policy).toEqual(now);
  });

  it("succeeds for exactly one of several callers with the same etag", async () => {
    const own = policy.newNamespace();
    const { id, etag } = await create(own);
    const updates = Array.from({ length: 8 }, (_, n) => own.policies.updatePolicy({ id, etag, spec: budget(n + 10) }));
    const outcomes = await Promise.allSettled(updates);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("never changes its kind", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    const error = await refusal(own.policies.updatePolicy({ id, spec: rateLimit }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["spec"] });
    expect(error.message).toContain("budget");
  });

  it.each([
    ["nothing to change", {}, undefined],
    ["a mask of what cannot be changed", { name: "x", updateMask: { paths: ["disabled_at"] } }, "update_mask"],
    ["a name that its mask clears", { updateMask: { paths: ["name"] } }, "name"],
    ["a spec that its mask clears", { updateMask: { paths: ["spec"] } }, "spec"],
    ["a blank name", { name: "  " }, "name"],
    ["a spec that breaks a rule", { spec: budget(0) }, "spec.budget.limit_micro_usd"],
  ])("is refused with %s, naming the field if there is one", async (_case, request, field) => {
    const own = policy.newNamespace();
    const made = await create(own);
    const error = await refusal(own.policies.updatePolicy({ id: made.id, ...request }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, fields: field === undefined ? [] : [field] });
    expect((await own.policies.getPolicy({ id: made.id })).policy).toEqual(made);
  });

  it("refuses the name of another policy, and accepts its own", async () => {
    const own = policy.newNamespace();
    const [{ id }] = [await create(own, "one"), await create(own, "two")];
    expect(await refusal(own.policies.updatePolicy({ id, name: "two" }))).toMatchObject({ reason: "NAME_TAKEN" });
    await own.policies.updatePolicy({ id, name: "one" });
  });

  it("keeps the consumption of the budget", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 100);
    await bind(own, id);
    const request = requestOf(own.namespaceId, own.key.lineage, 60n);
    await policy.admission.admit(request);
    await policy.admission.settle(request, used(60_000n));
    await own.policies.updatePolicy({ id, spec: budget(70) });
    const next = requestOf(own.namespaceId, own.key.lineage, 60n);
    expect(await policy.admission.admit(next)).toMatchObject({ outcome: "admitted", outputTokensMax: 10n });
  });
});

describe("disabling and enabling a policy", () => {
  it("takes effect wherever the policy is bound, and is idempotent", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 5);
    await bind(own, id);
    const made = (await own.policies.getPolicy({ id })).policy ?? expect.fail("no policy");
    const reservedByAdmission = async () =>
      (await policy.admission.admit(requestOf(own.namespaceId, own.key.lineage, 50n))).outcome === "admitted" &&
      (await policy.totals(own.namespaceId)).values().next().value?.reservedNano;
    const { policy: off } = await own.policies.disablePolicy({ id: made.id });
    expect(off).toEqual({ ...made, etag: expect.any(String), disabledAt: expect.anything() });
    expect((await own.policies.disablePolicy({ id: made.id })).policy).toEqual(off);
    expect(await reservedByAdmission()).toBe(0n);
    for (const _ of [1, 2]) expect((await own.policies.enablePolicy({ id: made.id })).policy).toEqual(made);
    expect(await reservedByAdmission()).toBe(5_000n);
  });
});

describe("deleting a policy", () => {
  it("is refused while it is bound, with the number of bindings, and changes nothing", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    const bindings = [await bind(own, id), await bind(own, id, own.key.id, BindingMode.SHADOW)];
    const error = await refusal(own.policies.deletePolicy({ id }));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "POLICY_BOUND", metadata: { bindings: "2" } });
    expect((await own.policies.listBindings({ policyId: id })).bindings).toEqual(bindings);
  });

  it("removes its bindings on request and returns them; its name is then free, and it no longer applies", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 1);
    const bindings = [await bind(own, id), await bind(own, id, own.key.id)];
    expect((await own.policies.deletePolicy({ id, unbind: true })).unbound).toEqual(bindings);
    expect(await refusal(own.policies.getPolicy({ id }))).toMatchObject({ code: Code.NotFound });
    expect(await refusal(own.policies.deletePolicy({ id, unbind: true }))).toMatchObject({ code: Code.NotFound });
    expect(await policy.admission.admit(requestOf(own.namespaceId, own.key.lineage, 60n))).toMatchObject({
      outcome: "admitted",
      outputTokensMax: 60n,
    });
    await create(own, "cap");
  });

  it("works on a policy that cannot be read, so that it can be removed", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    await policy.tamper(sql`update policies set spec = '{"window": "aeon"}' where id = ${id}`);
    expect(await refusal(own.policies.getPolicy({ id }))).toMatchObject({ code: Code.Internal });
    await own.policies.deletePolicy({ id });
    expect(await refusal(own.policies.getPolicy({ id }))).toMatchObject({ code: Code.NotFound });
  });
});

describe("unbinding a policy", () => {
  it("removes one binding and its counter; reservations on it can still be settled", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 100);
    const [binding, other] = [await bind(own, id), await bind(own, id, own.key.id)];
    const request = requestOf(own.namespaceId, own.key.lineage, 60n);
    await policy.admission.admit(request);
    expect((await own.policies.unbindPolicy({ policyId: id, bindingId: binding.id })).binding).toEqual(binding);
    expect((await own.policies.listBindings({ policyId: id })).bindings).toEqual([other]);
    await policy.admission.settle(request, used(50_000n));
    expect(await policy.totals(own.namespaceId)).toEqual(
      new Map([[other.id, { limitNano: 100_000n, spentNano: 50_000n, reservedNano: 0n }]]),
    );
    const again = await bind(own, id);
    expect(again.id).not.toBe(binding.id);
    expect((await policy.totals(own.namespaceId)).get(again.id as never)).toMatchObject({ spentNano: 0n });
  });

  it("returns the same bytes for a binding that is unknown, malformed, removed, or of another policy", async () => {
    const own = policy.newNamespace();
    const [one, two] = [await create(own, "one"), await create(own, "two")];
    const [gone, ofTwo] = [await bind(own, one.id), await bind(own, two.id)];
    await own.policies.unbindPolicy({ policyId: one.id, bindingId: gone.id });
    const ids = [gone.id, ofTwo.id, newId("bnd"), "bnd_x", "", one.id];
    const answers = ids.map((bindingId) => refusal(own.policies.unbindPolicy({ policyId: one.id, bindingId })));
    const [first, ...rest] = await Promise.all(answers);
    expect(first).toMatchObject({ code: Code.NotFound, reason: "RESOURCE_NOT_FOUND" });
    for (const answer of rest) expect(answer).toEqual(first);
    expect((await own.policies.listBindings({ policyId: two.id })).bindings).toEqual([ofTwo]);
  });

  it("breaks no running admission", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 1_000_000);
    const rebind = async () => {
      for (let round = 0; round < 20; round++) {
        const binding = await bind(own, id);
        await own.policies.unbindPolicy({ policyId: id, bindingId: binding.id });
      }
    };
    const admitMany = async () => {
      for (let round = 0; round < 40; round++) {
        const request = requestOf(own.namespaceId, own.key.lineage, 1n);
        expect((await policy.admission.admit(request)).outcome).toBe("admitted");
        await policy.admission.settle(request, used(1_000n));
      }
    };
    await Promise.all([rebind(), admitMany(), admitMany(), admitMany()]);
    expect(await policy.totals(own.namespaceId)).toEqual(new Map());
  });
});

describe("listing", () => {
  it("pages over the bindings of a policy without skipping or repeating one", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    const bound: string[] = [(await bind(own, id)).id];
    for (let n = 0; n < 6; n++) bound.push((await bind(own, id, policy.key(own.namespaceId, own.key).id)).id);
    const read: string[] = [];
    let pageToken = "";
    do {
      const page = await own.policies.listBindings({ policyId: id, pageSize: 3, pageToken });
      expect(Object.keys(page.budgetUses)).toEqual(page.bindings.map((binding) => binding.id));
      read.push(...page.bindings.map((binding) => binding.id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(read).toEqual(bound);
  });

  it("shows the policies bound to a principal itself, disabled and shadow ones too, and no inherited ones", async () => {
    const own = policy.newNamespace();
    const sub = policy.key(own.namespaceId, own.key);
    const [one, two, three] = [await create(own, "one"), await create(own, "two"), await create(own, "three")];
    await bind(own, one.id);
    await bind(own, two.id, own.key.id);
    const onSub = [await bind(own, three.id, sub.id, BindingMode.SHADOW), await bind(own, one.id, sub.id)];
    const { policy: off } = await own.policies.disablePolicy({ id: three.id });
    const principal = { principalType: PrincipalType.API_KEY, principalId: sub.id };
    expect((await own.policies.listPrincipalPolicies(principal)).boundPolicies).toMatchObject([
      { policy: off, binding: onSub[0] },
      { policy: { id: one.id, bindingCount: 2 }, binding: onSub[1] },
    ]);
    const first = await own.policies.listPrincipalPolicies({ ...principal, pageSize: 1 });
    expect(first.boundPolicies).toHaveLength(1);
    const rest = await own.policies.listPrincipalPolicies({ ...principal, pageToken: first.nextPageToken });
    expect(rest).toMatchObject({ boundPolicies: [{ binding: onSub[1] }], nextPageToken: "" });
    policy.revoke(sub.id);
    expect((await own.policies.listPrincipalPolicies(principal)).boundPolicies).toHaveLength(2);
  });
});

describe("a policy", () => {
  it("shows its bindings and the use of its budget through each, in every service", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own, "cap", 100);
    const sub = policy.key(own.namespaceId, own.key);
    const loose = await create(own, "loose");
    expect(loose).toMatchObject({ bindingCount: 0, bindings: [] });
    const [first, second] = [await bind(own, id), await bind(own, id, sub.id, BindingMode.SHADOW)];
    const [spent, open] = [60n, 30n].map((micro) => requestOf(own.namespaceId, own.key.lineage, micro));
    for (const request of [spent!, open!]) await policy.admission.admit(request);
    await policy.admission.settle(spent!, used(50_000n));
    const shown = {
      id,
      bindingCount: 2,
      keyBindingCount: 1,
      shadowBindingCount: 1,
      bindings: [
        { binding: first, budgetUse: { spentMicroUsd: 50n, reservedMicroUsd: 30n, remainingMicroUsd: 20n } },
        { binding: second, budgetUse: { spentMicroUsd: 0n, reservedMicroUsd: 0n, remainingMicroUsd: 100n } },
      ],
    };
    const { policies, budgets } = own;
    expect((await policies.getPolicy({ id })).policy).toMatchObject(shown);
    expect((await budgets.getBudget({ id })).policy).toMatchObject(shown);
    const { budgetUses } = await policies.listBindings({ policyId: id });
    expect(budgetUses).toMatchObject({
      [first.id]: { spentMicroUsd: 50n, reservedMicroUsd: 30n, remainingMicroUsd: 20n },
      [second.id]: { spentMicroUsd: 0n, remainingMicroUsd: 100n },
    });
    expect((await policies.listPolicies({})).policies).toMatchObject([shown, { id: loose.id, bindingCount: 0 }]);
    expect((await budgets.listBudgets({})).policies).toMatchObject([shown, { id: loose.id, bindingCount: 0 }]);
    expect((await policies.disablePolicy({ id })).policy).toMatchObject(shown);
  });

  it("shows a budget within a preset likewise, no use of other kinds, and at most its five oldest bindings", async () => {
    const own = policy.newNamespace();
    const budgetSpec = { window: BudgetWindow.DAY, limitMicroUsd: 7n };
    const preset = await own.presets.createPreset({ name: "p", spec: { budget: budgetSpec } });
    const limit = await own.rateLimits.createRateLimit({ name: "r", spec: { windowSecs: 60, maxRequests: 1n } });
    const keys = Array.from({ length: 7 }, () => policy.key(own.namespaceId, own.key));
    for (const { id } of keys) await bind(own, preset.policy?.id ?? "", id);
    await bind(own, limit.policy?.id ?? "");
    const [shown, other] = (await own.policies.listPolicies({})).policies;
    const counts = { bindingCount: 7, keyBindingCount: 7, shadowBindingCount: 0 };
    expect(shown).toMatchObject({ ...counts, bindings: { length: 5 } });
    expect(shown?.bindings.map(({ binding }) => binding?.principalId)).toEqual(keys.slice(0, 5).map(({ id }) => id));
    expect(shown?.bindings[0]?.budgetUse).toMatchObject({ remainingMicroUsd: 7n });
    expect(other).toMatchObject({ bindingCount: 1 });
    expect(other?.bindings[0]?.budgetUse).toBeUndefined();
    expect(Object.keys((await own.policies.listBindings({ policyId: shown?.id ?? "" })).budgetUses)).toHaveLength(7);
    expect((await own.policies.listBindings({ policyId: other?.id ?? "" })).budgetUses).toEqual({});
  });
});

describe("the audit log", () => {
  it("has every change with its actor, and no entry for a call that changed nothing", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    await own.policies.updatePolicy({ id, spec: budget(9) });
    await own.policies.disablePolicy({ id });
    await own.policies.disablePolicy({ id });
    await own.policies.enablePolicy({ id });
    const [one, two] = [await bind(own, id, undefined, BindingMode.SHADOW), await bind(own, id, own.key.id)];
    await own.policies.unbindPolicy({ policyId: id, bindingId: one.id });
    await own.policies.deletePolicy({ id, unbind: true });
    const entries = await policy.database.within(own, (tx) =>
      tx.selectFrom("audit_entries").selectAll().orderBy("id").execute(),
    );
    expect(entries.map(({ action, target_id, actor_id }) => [action, target_id, actor_id])).toEqual(
      [
        ["policy.create", id],
        ["policy.update", id],
        ["policy.disable", id],
        ["policy.enable", id],
        ["binding.create", one.id],
        ["binding.create", two.id],
        ["binding.delete", one.id],
        ["binding.delete", two.id],
        ["policy.delete", id],
      ].map((entry) => entry.concat(own.key.id)),
    );
    expect(entries[1]).toMatchObject({
      before: { spec: { limit_micro_usd: 5 } },
      after: { spec: { limit_micro_usd: 9 } },
    });
    expect(entries[4]?.after).toMatchObject({ mode: "shadow", policy_id: id });
  });
});
