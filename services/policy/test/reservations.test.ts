import { microToNano as nano, type Id } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PolicyUnderTest, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
});
afterAll(() => policy.stop());

const makeOverdue = (namespaceId: Id<"ns">) =>
  policy.tamper(
    sql`update holds set expires_at = clock_timestamp() - interval '1 second' where namespace_id = ${namespaceId}`,
  );

/** Moves everything spent in the namespace into the past by the given minutes, exact to a bucket. */
const letPass = (namespaceId: Id<"ns">, minutes: number) =>
  policy.tamper(sql`update counters set spend[2] = spend[2] - round(${minutes} * 60000.0 / spend[1])::bigint
             where namespace_id = ${namespaceId} and spend is not null`);

describe("a reservation that is due to expire", () => {
  it("is charged in full by the next admission of any key in its namespace", async () => {
    const { request, total, namespaceId, key } = await policy.oneBudget(1_000n);
    await policy.budget(namespaceId, 1_000n, key.id);
    await policy.admission.admit(request(400n));
    await makeOverdue(namespaceId);
    const other = policy.key(namespaceId);
    await policy.admission.admit(requestOf(namespaceId, other.lineage, 50n));
    expect(await total()).toMatchObject({ spentNano: nano(400n), reservedNano: nano(50n) });
    expect([...(await policy.totals(namespaceId)).values()][1]).toMatchObject({
      spentNano: nano(400n),
      reservedNano: 0n,
    });
  });

  it("expires also by an admission that is denied, so that its charge leaves the window in time", async () => {
    const { request, total, namespaceId } = await policy.oneBudget(400n, "hour");
    await policy.admission.admit(request(400n));
    await makeOverdue(namespaceId);
    expect(await policy.admission.admit(request(1n))).toMatchObject({ outcome: "denied" });
    expect(await total()).toMatchObject({ spentNano: nano(400n), reservedNano: 0n });
    await letPass(namespaceId, 61);
    expect(await policy.admission.admit(request(1n))).toMatchObject({ outcome: "admitted" });
  });

  it("has its charge corrected by a late settlement, once, and not by a late void", async () => {
    const { request, total, namespaceId } = await policy.oneBudget(1_000n);
    const [late, voided] = [request(400n), request(200n)];
    for (const each of [late, voided]) await policy.admission.admit(each);
    await makeOverdue(namespaceId);
    await policy.admission.admit(request(0n));
    expect(await total()).toMatchObject({ spentNano: nano(600n) });
    await policy.admission.void(voided, true);
    await policy.admission.settle(late, used(nano(150n)));
    await policy.admission.settle(late, used(nano(390n)));
    expect(await total()).toMatchObject({ spentNano: nano(350n), reservedNano: 0n });
  });

  it("has a late overrun counted in full", async () => {
    const { request, total, namespaceId } = await policy.oneBudget(1_000n);
    const late = request(400n);
    await policy.admission.admit(late);
    await makeOverdue(namespaceId);
    await policy.admission.admit(request(0n));
    await policy.admission.settle(late, used(nano(900n)));
    expect(await total()).toMatchObject({ spentNano: nano(900n), reservedNano: 0n });
  });

  it("is settled like any other until it is expired", async () => {
    const { request, total, namespaceId } = await policy.oneBudget(1_000n);
    const late = request(400n);
    await policy.admission.admit(late);
    await makeOverdue(namespaceId);
    await policy.admission.settle(late, used(nano(150n)));
    expect(await total()).toMatchObject({ spentNano: nano(150n), reservedNano: 0n });
  });
});

describe("a rolling window", () => {
  it("frees spent amounts once their bucket has left the window, and drops the bucket", async () => {
    const { request, namespaceId, total } = await policy.oneBudget(1_000n, "hour");
    const spend = async (micro: bigint) => {
      const admitted = request(micro);
      expect(await policy.admission.admit(admitted)).toMatchObject({ outcome: "admitted" });
      await policy.admission.settle(admitted, used(nano(micro)));
    };
    await spend(900n);
    await letPass(namespaceId, 59);
    expect(await policy.admission.admit(request(500n))).toMatchObject({ outputTokensMax: 100n });
    await letPass(namespaceId, 2);
    expect(await policy.admission.admit(request(500n))).toMatchObject({ outputTokensMax: 500n });
    await spend(50n);
    expect(await total()).toMatchObject({ spentNano: nano(50n) });
  });

  it("of `total` never frees anything", async () => {
    const { request } = await policy.oneBudget(1_000n, "total");
    const admitted = request(1_000n);
    await policy.admission.admit(admitted);
    await policy.admission.settle(admitted, used(nano(1_000n)));
    await policy.tamper(sql`update counters set reserved_nano = 0`);
    expect(await policy.admission.admit(request(1n))).toMatchObject({ outcome: "denied" });
  });
});
