import { Code } from "@connectrpc/connect";
import { BudgetWindow, PrincipalType } from "@routeplane/contracts/policy";
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

const remove = () => policy.wired.removeRevoked();
const spec = { window: BudgetWindow.DAY, limitMicroUsd: 5_000n };
const MINUTES_AGO = new Date(Date.now() - 120_000);

const onKey = (principalId: string) => ({ principalType: PrincipalType.API_KEY, principalId });

async function budgetOn(own: TestNamespace, ...keyIds: readonly string[]) {
  const made = await own.budgets.createBudget({ name: newId("pol"), spec, bindTo: keyIds.map(onKey) });
  return made.policy?.id ?? "";
}

async function boundTo(own: TestNamespace, policyId: string): Promise<readonly string[]> {
  return (await own.policies.listBindings({ policyId })).bindings.map(({ principalId }) => principalId);
}

describe("the bindings of a revoked key", () => {
  it("are removed with those of every key below it, and of no other; audited on behalf of the revocation", async () => {
    const own = policy.newNamespace();
    const [revoked, other] = [policy.key(own.namespaceId, own.key), policy.key(own.namespaceId, own.key)];
    const below = policy.key(own.namespaceId, policy.key(own.namespaceId, revoked));
    const id = await budgetOn(own, own.key.id, revoked.id, below.id, other.id);
    const elsewhere = policy.newNamespace();
    const foreign = await budgetOn(elsewhere, elsewhere.key.id);
    policy.revoke(revoked.id);
    await remove();
    expect(await boundTo(own, id)).toEqual([own.key.id, other.id]);
    expect(await boundTo(elsewhere, foreign)).toEqual([elsewhere.key.id]);
    const { rows } = await policy.admin.within({}, (tx) =>
      sql`select actor_type, actor_id, request_id, address, before ->> 'principal_id' as principal from audit_entries
        where action = 'binding.delete' and namespace_id = ${own.namespaceId} order by id`.execute(tx),
    );
    const actor = {
      actor_type: "operator",
      actor_id: "op_revoker",
      request_id: "req_of-revocation",
      address: "192.0.2.1",
    };
    expect(rows).toEqual([
      { ...actor, principal: revoked.id },
      { ...actor, principal: below.id },
    ]);
  });

  it("no longer count against the quota of the policy", async () => {
    const own = policy.newNamespace();
    const revoked = policy.key(own.namespaceId, own.key);
    const id = await budgetOn(own, revoked.id);
    await policy.tamper(sql`
      insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at, principal_lineage)
      select ${own.namespaceId}, 'bnd_' || lpad(n || right(${revoked.id}, 20), 26, '0'), ${id}, 'api_key', 'key_' || n, now(),
        array[${own.key.id}, ${revoked.id}, 'key_' || n] from generate_series(1, 999) n`);
    const bind = () => own.policies.bindPolicy({ policyId: id, ...onKey(own.key.id) });
    expect(await refusal(bind())).toMatchObject({ reason: "LIMIT_REACHED" });
    policy.revoke(revoked.id);
    for (let round = 0; round < 6; round++) await remove();
    await bind();
    expect(await boundTo(own, id)).toEqual([own.key.id]);
  });

  it("stay until its running requests are settled against its budget", async () => {
    const own = policy.newNamespace();
    const revoked = policy.key(own.namespaceId, own.key);
    const id = await budgetOn(own, revoked.id);
    const request = requestOf(own.namespaceId, revoked.lineage, 100n);
    expect(await policy.admission.admit(request)).toMatchObject({ outcome: "admitted" });
    policy.revoke(revoked.id, MINUTES_AGO);
    await remove();
    expect(await boundTo(own, id)).toEqual([revoked.id]);
    expect(policy.acknowledged()).not.toContain(revoked.id);
    await policy.admission.settle(request, used(40_000n));
    expect([...(await policy.totals(own.namespaceId)).values()]).toMatchObject([
      { spentNano: 40_000n, reservedNano: 0n },
    ]);
    await remove();
    expect(await boundTo(own, id)).toEqual([]);
    expect(policy.acknowledged()).toContain(revoked.id);
  });

  it("are removed once more before the revocation is acknowledged, so that a binding made meanwhile does not stay", async () => {
    const own = policy.newNamespace();
    const revoked = policy.key(own.namespaceId, own.key);
    const id = await budgetOn(own, revoked.id);
    policy.revoke(revoked.id);
    await remove();
    expect(policy.acknowledged()).not.toContain(revoked.id);
    // A call that had read the key before its revocation binds after it.
    await policy.tamper(sql`
      insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at, principal_lineage)
      values (${own.namespaceId}, ${newId("bnd")}, ${id}, 'api_key', ${revoked.id}, now(), ${[...revoked.lineage]})`);
    policy.revoke(revoked.id, MINUTES_AGO);
    await remove();
    expect(await boundTo(own, id)).toEqual([]);
    expect(policy.acknowledged()).toContain(revoked.id);
  });

  it("are removed by another process if one has stopped, by several at once, and after auth was unreachable", async () => {
    const own = policy.newNamespace();
    const keys = Array.from({ length: 120 }, () => policy.key(own.namespaceId, own.key));
    const id = await budgetOn(own, ...keys.slice(0, 10).map((key) => key.id));
    policy.authDown.value = true;
    for (const key of keys) policy.revoke(key.id, MINUTES_AGO);
    expect(await refusal(remove())).toMatchObject({ message: expect.stringContaining("auth") });
    policy.authDown.value = false;
    await Promise.all([remove(), remove(), remove()]);
    expect(await boundTo(own, id)).toEqual([]);
    expect(policy.acknowledged()).toEqual(expect.arrayContaining(keys.map((key) => key.id)));
    expect(await remove()).toBeGreaterThanOrEqual(0);
  });
});

describe("UnbindAll", () => {
  async function bound() {
    const own = policy.newNamespace();
    const keys = Array.from({ length: 4 }, () => policy.key(own.namespaceId, own.key));
    const id = await budgetOn(own, ...keys.map((key) => key.id));
    const { bindings } = await own.policies.listBindings({ policyId: id });
    return { own, id, keys, bindings };
  }

  it("removes the named bindings, that of a principal, or all, and returns them", async () => {
    const { own, id, keys, bindings } = await bound();
    const [first, second, third, fourth] = bindings;
    const named = await own.policies.unbindAll({ policyId: id, bindingIds: [third?.id ?? "", first?.id ?? ""] });
    expect(named.unbound).toEqual([first, third]);
    const ofPrincipal = await own.policies.unbindAll({ policyId: id, ...onKey(keys[1]?.id ?? "") });
    expect(ofPrincipal.unbound).toEqual([second]);
    const again = own.policies.unbindAll({ policyId: id, ...onKey(keys[1]?.id ?? "") });
    expect(await refusal(again)).toMatchObject({ code: Code.NotFound });
    expect((await own.policies.unbindAll({ policyId: id, all: true })).unbound).toEqual([fourth]);
    expect((await own.policies.unbindAll({ policyId: id, all: true })).unbound).toEqual([]);
  });

  it("removes all of the named bindings or none", async () => {
    const { own, id, bindings } = await bound();
    const other = await bound();
    for (const foreign of [newId("bnd"), other.bindings[0]?.id ?? ""]) {
      const request = { policyId: id, bindingIds: [bindings[0]?.id ?? "", foreign] };
      expect(await refusal(own.policies.unbindAll(request))).toMatchObject({ code: Code.NotFound });
    }
    expect(await refusal(other.own.policies.unbindAll({ policyId: id, all: true }))).toMatchObject({
      code: Code.NotFound,
    });
    expect(await boundTo(own, id)).toHaveLength(4);
  });

  it("refuses a request without a choice, or with more than one", async () => {
    const { own, id, keys, bindings } = await bound();
    const bindingIds = [bindings[0]?.id ?? ""];
    const principal = onKey(keys[0]?.id ?? "");
    for (const choice of [{}, { bindingIds, all: true }, { ...principal, all: true }, { bindingIds, ...principal }]) {
      const error = await refusal(own.policies.unbindAll({ policyId: id, ...choice }));
      expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["binding_ids"] });
    }
  });

  it("refuses a principal without its type, and unbinds nothing", async () => {
    const { own, id, keys } = await bound();
    const error = await refusal(own.policies.unbindAll({ policyId: id, principalId: keys[0]?.id ?? "" }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["principal_type"] });
    expect(await boundTo(own, id)).toHaveLength(4);
  });

  it("is refused to a sub-key whose policy also binds others", async () => {
    const { own, id, keys } = await bound();
    const sub = policy.as(keys[0]?.token ?? "");
    expect(await refusal(sub.policies.unbindAll({ policyId: id, all: true }))).toMatchObject({
      code: Code.PermissionDenied,
    });
    expect(await boundTo(own, id)).toHaveLength(4);
  });
});
