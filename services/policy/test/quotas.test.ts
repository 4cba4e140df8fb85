import { Code } from "@connectrpc/connect";
import { PrincipalType } from "@routeplane/contracts/policy";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bind, budget, create } from "./management-calls.ts";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

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
