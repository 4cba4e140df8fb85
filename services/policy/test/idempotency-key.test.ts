import { microToNano as nano, type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Admission } from "../src/domain/admission/admission.ts";
import { type PolicyUnderTest, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
let replicas: readonly Admission[];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  replicas = [policy.replica(), policy.replica()];
});
afterAll(() => policy.stop());

const named = (namespaceId: Id<"ns">, lineage: readonly Id<"key">[], idempotencyKey = "retry-1") => ({
  ...requestOf(namespaceId, lineage, 10n),
  idempotencyKey,
});

/** Number of pairs, large enough that some pairs collide between read and write. */
const ROUNDS = 20;

const usedBy = ({ requestId }: { requestId: string }) => ({
  code: "already_exists",
  reason: "IDEMPOTENCY_KEY_USED",
  metadata: { request_id: requestId },
});

describe.each(["a budget", "no limit"])("an idempotency key under %s", (limit) => {
  async function newNamespace() {
    const namespaceId = newId("ns");
    const { lineage } = policy.key(namespaceId);
    if (limit === "a budget") await policy.budget(namespaceId, 1_000n);
    const reserved = async () => [...(await policy.totals(namespaceId)).values()][0]?.reservedNano ?? 0n;
    return { namespaceId, lineage, reserved, reservationNano: limit === "a budget" ? nano(10n) : 0n };
  }

  it("admits one request until it is voided, and names it to the others", async () => {
    const { namespaceId, lineage, reserved, reservationNano } = await newNamespace();
    const [first, second] = [named(namespaceId, lineage), named(namespaceId, lineage)];
    expect(await policy.admission.admit(first)).toMatchObject({ outcome: "admitted" });
    await expect(policy.admission.admit(second)).rejects.toMatchObject(usedBy(first));
    expect(await reserved()).toBe(reservationNano);
    await policy.admission.void(second, true);
    await policy.admission.settle(first, used(nano(3n)));
    await expect(policy.admission.admit(named(namespaceId, lineage))).rejects.toMatchObject(usedBy(first));
    expect(await policy.admission.admit(named(namespaceId, lineage, "retry-2"))).toMatchObject({ outcome: "admitted" });
  });

  it("returns the same admission to a repeated call", async () => {
    const { namespaceId, lineage } = await newNamespace();
    const request = named(namespaceId, lineage);
    const answer = await policy.admission.admit(request);
    expect(await policy.admission.admit(request)).toEqual(answer);
  });

  it("can be used again once its request was voided", async () => {
    const { namespaceId, lineage, reserved, reservationNano } = await newNamespace();
    const [first, second] = [named(namespaceId, lineage), named(namespaceId, lineage)];
    await policy.admission.admit(first);
    await policy.admission.void(first, false);
    expect(await policy.admission.admit(second)).toMatchObject({ outcome: "admitted" });
    await expect(policy.admission.admit(named(namespaceId, lineage))).rejects.toMatchObject(usedBy(second));
    expect(await reserved()).toBe(reservationNano);
  });

  it("stays used when its request has expired: it is charged, and may yet be settled", async () => {
    const { namespaceId, lineage } = await newNamespace();
    const first = named(namespaceId, lineage);
    await policy.admission.admit(first);
    await policy.tamper(
      sql`update holds set expires_at = clock_timestamp() - interval '1 second' where namespace_id = ${namespaceId}`,
    );
    await expect(policy.admission.admit(named(namespaceId, lineage))).rejects.toMatchObject(usedBy(first));
  });

  it("is separate for every key and every namespace", async () => {
    const { namespaceId, lineage } = await newNamespace();
    const [sibling, stranger] = [policy.key(namespaceId), await newNamespace()];
    const all = [
      named(namespaceId, lineage),
      named(namespaceId, sibling.lineage),
      named(stranger.namespaceId, stranger.lineage),
    ];
    for (const each of all) expect(await policy.admission.admit(each)).toMatchObject({ outcome: "admitted" });
  });

  it("admits one of two concurrent requests over two replicas", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { namespaceId, lineage } = await newNamespace();
      const pair = replicas.map((replica) => ({ replica, request: named(namespaceId, lineage) }));
      const outcomes = await Promise.allSettled(pair.map(({ replica, request }) => replica.admit(request)));
      const winner = pair[outcomes.findIndex(({ status }) => status === "fulfilled")]?.request ?? expect.fail("none");
      const [loser, ...more] = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
      expect([loser, more]).toMatchObject([usedBy(winner), []]);
    }
  });

  it("admits one of many concurrent requests over two replicas, and refuses no unrelated request", async () => {
    const { namespaceId, lineage, reserved, reservationNano } = await newNamespace();
    const alike = Array.from({ length: 20 }, () => named(namespaceId, lineage));
    const others = Array.from({ length: 10 }, () => requestOf(namespaceId, lineage, 10n));
    const outcomes = await Promise.allSettled(
      [...alike, ...others].map((request, index) => replicas[index % 2]!.admit(request)),
    );
    const admitted = outcomes
      .slice(0, alike.length)
      .flatMap(({ status }, index) => (status === "fulfilled" ? [index] : []));
    expect(admitted).toHaveLength(1);
    const winner = alike[admitted[0]!]!;
    for (const outcome of outcomes.slice(0, alike.length)) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject(usedBy(winner));
    }
    expect(outcomes.slice(alike.length).map(({ status }) => status)).toEqual(others.map(() => "fulfilled"));
    expect(await reserved()).toBe(reservationNano * 11n);
  });
});
