import { Code, createClient, type Transport } from "@connectrpc/connect";
import { EnforcementService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { watchChanges } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, refusal, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

async function sequence(): Promise<bigint> {
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ sequence: bigint }>`select sequence from policy.changes`.execute(tx),
  );
  return rows[0]?.sequence ?? expect.fail("there is no counter");
}

/** Number of changes that an action makes. */
async function counted(change: () => Promise<unknown>): Promise<number> {
  const before = await sequence();
  await change();
  return Number((await sequence()) - before);
}

describe("the counter of changes", () => {
  const touch = (id: string) => sql`update policies set disabled_at = now() where id = ${id}`;

  it("counts every change of the policies that apply to keys, and none of a policy without bindings", async () => {
    const namespaceId = newId("ns");
    const { policy: made } = await policy.budget(namespaceId, 1_000n);
    const unbound = { ...made, id: newId("pol"), name: "another" };
    expect(await counted(() => policy.policies.add(unbound, []))).toBe(0);
    const bind = sql`insert into bindings (namespace_id, id, policy_id, principal_type, principal_id, created_at)
      values (${namespaceId}, ${newId("bnd")}, ${unbound.id}, 'namespace', ${namespaceId}, now())`;
    expect(await counted(() => policy.tamper(bind))).toBe(1);
    expect(await counted(() => policy.tamper(touch(unbound.id)))).toBe(1);
    expect(await counted(() => policy.tamper(sql`delete from bindings where policy_id = ${unbound.id}`))).toBe(1);
    expect(await counted(() => policy.tamper(sql`delete from policies where id = ${unbound.id}`))).toBe(1);
  });

  it("does not move for a change that is rolled back, nor for reads", async () => {
    const namespaceId = newId("ns");
    const { policy: made } = await policy.budget(namespaceId, 1_000n);
    const rolledBack = () =>
      policy.admin.within({}, async (tx) => {
        await touch(made.id).execute(tx);
        await sql`set constraints all immediate`.execute(tx);
        throw new Error("rolled back");
      });
    expect(await counted(() => rolledBack().catch(() => {}))).toBe(0);
    const move = policy.database.within({ namespaceId }, (tx) => sql`update changes set sequence = 0`.execute(tx));
    await expect(move).rejects.toThrow(/permission denied/);
  });

  it("is locked last: no two transactions can wait for each other", async () => {
    const namespaceId = newId("ns");
    const { policy: one } = await policy.budget(namespaceId, 1_000n);
    const { policy: other } = await policy.budget(namespaceId, 1_000n);
    await policy.admin.within({}, async (tx) => {
      await touch(one.id).execute(tx);
      await policy.admin.within({}, (tx) => touch(other.id).execute(tx));
    });
  });
});

describe("WatchPolicyChanges", () => {
  it("streams each change that another process makes, in order and without a gap, and of no other namespace", async () => {
    const { watchPolicyChanges } = createClient(EnforcementService, policy.subscriber());
    const received: string[] = [];
    const watch = watchChanges({
      call: (options) => watchPolicyChanges({}, options),
      monotonic: () => performance.now(),
      onChange: (namespaceId) => void received.push(namespaceId),
      onGap: () => void received.push("a gap"),
    });
    try {
      await eventually(() => watch.isLive());
      const namespaces = [newId("ns"), newId("ns"), newId("ns")];
      for (const namespaceId of namespaces) await policy.budget(namespaceId, 1_000n);
      await eventually(() => received.length >= namespaces.length);
      expect(received).toEqual(namespaces);
    } finally {
      await watch.stop();
    }
  });

  it("is only for the services of the node, and UNAVAILABLE while the change subscription is lost", async () => {
    const call = async (transport: Transport) => {
      for await (const _ of createClient(EnforcementService, transport).watchPolicyChanges({})) return;
    };
    expect(await refusal(call(policy.transport))).toMatchObject({ code: Code.Unauthenticated });
    expect(await refusal(call(policy.asService(policy.transport)))).toMatchObject({ code: Code.Unavailable });
  });
});
