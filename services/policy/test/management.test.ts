import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { BindingMode, BudgetWindow, PolicySpecSchema, PrincipalType } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type PolicyUnderTest,
  refusal,
  requestOf,
  startPolicyUnderTest,
  type TestNamespace,
  used,
} from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const spec = (json: JsonValue) => fromJson(PolicySpecSchema, json);
const budget = (limit: number) => spec({ budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: String(limit) } });
const rateLimit = spec({ rateLimit: { windowSecs: 60, maxRequests: "1" } });

async function create({ policies }: TestNamespace, name = "cap", limit = 5) {
  const { policy: made } = await policies.createPolicy({ name, spec: budget(limit) });
  return made ?? expect.fail("no policy");
}

async function bind({ policies, namespaceId }: TestNamespace, policyId: string, keyId?: string, mode?: BindingMode) {
  const on =
    keyId === undefined
      ? { principalType: PrincipalType.NAMESPACE, principalId: namespaceId }
      : { principalType: PrincipalType.API_KEY, principalId: keyId };
  const { binding } = await policies.bindPolicy({ policyId, ...on, ...(mode !== undefined && { mode }) });
  return binding ?? expect.fail("no binding");
}

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

  it("is refused with an etag that is not the policy's any more, or never was, and changes nothing", async () => {
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

  it("removes its bindings on request and returns them; then its name is free and it applies no more", async () => {
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

  it("answers the same bytes for a binding that is unknown, malformed, gone, or of another policy", async () => {
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
  it("pages over the bindings of a policy without skipping or doubling one", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    const bound: string[] = [(await bind(own, id)).id];
    for (let n = 0; n < 6; n++) bound.push((await bind(own, id, policy.key(own.namespaceId, own.key).id)).id);
    const read: string[] = [];
    let pageToken = "";
    do {
      const page = await own.policies.listBindings({ policyId: id, pageSize: 3, pageToken });
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
      bindings: [
        { binding: first, budgetUse: { spentMicroUsd: 50n, reservedMicroUsd: 30n, remainingMicroUsd: 20n } },
        { binding: second, budgetUse: { spentMicroUsd: 0n, reservedMicroUsd: 0n, remainingMicroUsd: 100n } },
      ],
    };
    const { policies, budgets } = own;
    expect((await policies.getPolicy({ id })).policy).toMatchObject(shown);
    expect((await budgets.getBudget({ id })).policy).toMatchObject(shown);
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
    expect(shown).toMatchObject({ bindingCount: 7, bindings: { length: 5 } });
    expect(shown?.bindings.map(({ binding }) => binding?.principalId)).toEqual(keys.slice(0, 5).map(({ id }) => id));
    expect(shown?.bindings[0]?.budgetUse).toMatchObject({ remainingMicroUsd: 7n });
    expect(other).toMatchObject({ bindingCount: 1 });
    expect(other?.bindings[0]?.budgetUse).toBeUndefined();
  });
});

describe("a quota", () => {
  it("is 1,000 policies in a namespace, also for concurrent calls", async () => {
    const own = policy.newNamespace();
    await policy.tamper(sql`
      insert into policies (namespace_id, id, name, kind, spec, created_at)
      select ${own.namespaceId}, 'pol_' || lpad(n::text, 26, '0'), 'policy ' || n, 'budget',
        '{"window": "day", "limit_micro_usd": 1}', now() from generate_series(1, 998) n`);
    const attempts = Array.from({ length: 6 }, (_, n) => create(own, `late ${n}`));
    const refused = (await Promise.allSettled(attempts)).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(4);
    const error = await refusal(create(own, "one more"));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED", metadata: { limit: "1000" } });
    await create(policy.newNamespace());
  });

  it("is 100 bindings of a principal, also for concurrent calls; an existing binding can be repeated", async () => {
    const own = policy.newNamespace();
    const ids: string[] = [];
    for (let n = 0; n < 104; n++) ids.push((await create(own, `policy ${n}`)).id);
    for (const id of ids.slice(0, 98)) await bind(own, id);
    const attempts = ids.slice(98).map((id) => bind(own, id));
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(4);
    const last = ids[98 + outcomes.findIndex(({ status }) => status === "rejected")] ?? "";
    const error = await refusal(bind(own, last));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED", metadata: { limit: "100" } });
    await bind(own, ids[0] ?? "");
    await bind(own, last, own.key.id);
  });

  it("is 1,000 bindings of a policy", async () => {
    const own = policy.newNamespace();
    const { id } = await create(own);
    await policy.tamper(sql`
      insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at)
      select ${own.namespaceId}, 'bnd_' || lpad(n::text, 26, '0'), ${id}, 'api_key', 'key_' || lpad(n::text, 26, '0'), now()
      from generate_series(1, 1000) n`);
    expect(await refusal(bind(own, id))).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "1000" } });
    expect((await own.policies.deletePolicy({ id, unbind: true })).unbound).toHaveLength(1000);
  });
});

describe("a quota of sub-keys", () => {
  /** Inserts policies that a key has created. */
  const fill = (namespaceId: string, { id, lineage }: { id: string; lineage: readonly string[] }, count: number) =>
    policy.tamper(sql`
      insert into policies (namespace_id, id, name, kind, spec, created_at, creator_lineage)
      select ${namespaceId}, 'pol_' || lpad(n || right(${id}, 20), 26, '0'), ${id} || n, 'budget',
        '{"window": "day", "limit_micro_usd": 1}', now(), ${[...lineage]} from generate_series(1, ${count}::int) n`);
  const newPolicy = (token: string, name: string) => policy.as(token).policies.createPolicy({ name, spec: budget(1) });

  it("is 100 policies by a key below a root key and all keys below it, also for concurrent calls", async () => {
    const own = policy.newNamespace();
    const branch = policy.key(own.namespaceId, own.key);
    const [one, two] = [policy.key(own.namespaceId, branch), policy.key(own.namespaceId, branch)];
    await fill(own.namespaceId, one, 97);
    const attempts = [branch, one, two, branch, one, two].map(({ token }, n) => newPolicy(token, `late ${n}`));
    const refused = (await Promise.allSettled(attempts)).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(3);
    const error = await refusal(newPolicy(two.token, "one more"));
    expect(error).toMatchObject({ code: Code.ResourceExhausted, reason: "LIMIT_REACHED", metadata: { limit: "100" } });
    await newPolicy(policy.key(own.namespaceId, own.key).token, "of another branch");
    await create(own, "of the root key");
  });

  it("is 500 policies of a namespace; the root key can create as many more", async () => {
    const own = policy.newNamespace();
    for (let branch = 0; branch < 5; branch++) {
      await fill(own.namespaceId, policy.key(own.namespaceId, own.key), 100);
    }
    const late = policy.key(own.namespaceId, own.key);
    expect(await refusal(newPolicy(late.token, "one more"))).toMatchObject({ metadata: { limit: "500" } });
    await fill(own.namespaceId, own.key, 499);
    await create(own, "the last");
    expect(await refusal(create(own, "one more"))).toMatchObject({ metadata: { limit: "1000" } });
  });

  it("is 25 bindings of a key by itself and 50 by sub-keys; keys above it and root keys can make more", async () => {
    const own = policy.newNamespace();
    const [parent, other] = [policy.key(own.namespaceId, own.key), policy.key(own.namespaceId, own.key)];
    const key = policy.key(own.namespaceId, parent);
    const on = { principalType: PrincipalType.API_KEY, principalId: key.id };
    const made: string[] = [];
    for (let n = 0; n < 55; n++)
      made.push((await newPolicy(n < 30 ? key.token : parent.token, `p ${n}`)).policy?.id ?? "");
    const bindAs = (token: string, policyId = "") => policy.as(token).policies.bindPolicy({ policyId, ...on });
    const outcomes = await Promise.allSettled(made.slice(0, 28).map((id) => bindAs(key.token, id)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(25);
    const error = await refusal(bindAs(key.token, made[29]));
    expect(error).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "25" } });
    const atOnce = { name: "at once", spec: { window: 2, limitMicroUsd: 5n }, bindTo: [on] };
    expect(await refusal(policy.as(key.token).budgets.createBudget(atOnce))).toMatchObject({
      metadata: { limit: "25" },
    });
    const above = await Promise.allSettled(made.slice(28, 55).map((id) => bindAs(parent.token, id)));
    expect(above.filter(({ status }) => status === "fulfilled")).toHaveLength(25);
    const more = (await newPolicy(parent.token, "one more")).policy?.id;
    expect(await refusal(bindAs(parent.token, more))).toMatchObject({ metadata: { limit: "50" } });
    const { id } = await create(own, "of the root key");
    await bind(own, id, key.id);
    await policy.as(other.token).policies.bindPolicy({ policyId: id, ...on, principalId: other.id });
  });

  it("is 500 bindings of a policy", async () => {
    const own = policy.newNamespace();
    const sub = policy.key(own.namespaceId, own.key);
    const { id } = await create(own);
    await policy.tamper(sql`
      insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at, creator_lineage)
      select ${own.namespaceId}, 'bnd_' || lpad(n::text, 26, '0'), ${id}, 'api_key', 'key_' || lpad(n::text, 26, '0'), now(),
        ${[...sub.lineage]} from generate_series(1, 500) n`);
    const on = { principalType: PrincipalType.API_KEY, principalId: sub.id };
    const error = await refusal(policy.as(sub.token).policies.bindPolicy({ policyId: id, ...on }));
    expect(error).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "500" } });
    await bind(own, id, sub.id);
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
