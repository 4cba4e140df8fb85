import { type Id, newId } from "@routeplane/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGateway } from "./gateway-under-test.ts";
import { type PolicyUnderTest, SERVICE_TOKEN, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

describe("row-level security", () => {
  const tables = ["policies", "bindings", "counters", "holds", "slices", "limit_sets", "session_namespaces"] as const;

  /** Namespace with a row in every table. */
  async function filled(): Promise<Id<"ns">> {
    const namespaceId = newId("ns");
    const { lineage } = policy.key(namespaceId);
    const { binding } = await policy.budget(namespaceId, 1_000n);
    const gateway = openGateway(policy.as(SERVICE_TOKEN).sessions);
    await gateway.renew();
    await gateway.money(namespaceId, binding.id, { needed: 1n });
    const bounds = { inputTokensMax: 1n, outputTokensMax: 1n, choices: 1n };
    const price = { inputPicoUsd: 1_000_000n, outputPicoUsd: 0n };
    const keyId = lineage.at(-1) ?? expect.fail("no key");
    const idempotencyKey = "retry-1";
    const request = {
      namespaceId,
      keyId,
      requestId: newId("req"),
      lineage,
      price,
      idempotencyKey,
      sessionId: undefined,
      ...bounds,
    };
    await policy.admission.admit(request);
    await policy.admission.settle(request, used(1_000n));
    return namespaceId;
  }

  it("shows a query that forgets its filter nothing of another namespace, and nothing at all without one", async () => {
    const own = await filled();
    await filled();
    for (const table of tables) {
      const unfiltered = (scope: { namespaceId?: string }) =>
        policy.database.within(scope, (tx) => tx.selectFrom(table).select("namespace_id").execute());
      expect(new Set((await unfiltered({ namespaceId: own })).map((row) => row.namespace_id))).toEqual(new Set([own]));
      expect(await unfiltered({})).toEqual([]);
      expect(await unfiltered({ namespaceId: newId("ns") })).toEqual([]);
    }
  });

  it("lets no transaction write into another namespace, nor refer to its rows", async () => {
    const [own, foreign] = [await filled(), await filled()];
    const [foreignPolicy] = (
      await policy.policies.list(foreign, { kind: undefined, size: 1, after: undefined, maxBytes: Infinity })
    ).rows;
    if (foreignPolicy === undefined) return expect.fail("no policy");
    const insert = (namespaceId: Id<"ns">) =>
      policy.database.within({ namespaceId: own }, (tx) =>
        tx
          .insertInto("bindings")
          .values({
            namespace_id: namespaceId,
            id: newId("bnd"),
            policy_id: foreignPolicy.id,
            principal_type: "namespace",
            principal_id: own,
            mode: "enforce",
            created_at: new Date(),
            creator_lineage: [],
            principal_lineage: [],
          })
          .execute(),
      );
    await expect(insert(foreign)).rejects.toThrow(/row-level security/);
    await expect(insert(own)).rejects.toThrow(/foreign key/);
  });
});
