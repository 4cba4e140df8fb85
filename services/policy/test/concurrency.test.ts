import { decideAdmission, EMPTY_COUNTER } from "@routeplane/admission";
import { DomainError, type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Admission, AdmissionResult } from "../src/domain/admission/admission.ts";
import { type BudgetTotals, type PolicyUnderTest, requestOf, startPolicyUnderTest, used } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
let replicas: readonly Admission[];
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  replicas = [patient(policy.replica()), patient(policy.replica()), patient(policy.replica())];
});
afterAll(() => policy.stop());

const CONCURRENT = 300;

/** Repeats a call while the service has no free connection, as callers do: every call is safe to repeat. */
function patient(admission: Admission): Admission {
  return {
    admit: (request) => again(() => admission.admit(request)),
    settle: (key, used) => again(() => admission.settle(key, used)),
    void: (key, neverSent) => again(() => admission.void(key, neverSent)),
  };
}

async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "unavailable") throw error;
    }
  }
}

/** Budgets on two sibling keys, on their parent and on the namespace; each of them is too small for all requests. */
async function budgetTree() {
  const namespaceId = newId("ns");
  const parent = policy.key(namespaceId);
  const [first, second] = [policy.key(namespaceId, parent), policy.key(namespaceId, parent)];
  await policy.budget(namespaceId, 1_003n);
  await policy.budget(namespaceId, 905n, parent.id);
  await policy.budget(namespaceId, 607n, first.id);
  await policy.budget(namespaceId, 402n, second.id, "hour");
  return { namespaceId, lineages: [first.lineage, second.lineage] };
}

type Tree = Awaited<ReturnType<typeof budgetTree>>;

const consumedNano = ({ spentNano, reservedNano }: BudgetTotals): bigint => spentNano + reservedNano;
const overspent = (totals: Map<Id<"bnd">, BudgetTotals>) =>
  [...totals.values()].filter((each) => consumedNano(each) > each.limitNano);

const requests = ({ namespaceId, lineages }: Tree) =>
  Array.from({ length: CONCURRENT }, (_, n) => requestOf(namespaceId, lineages[n % 2] ?? [], 10n));

describe(`${CONCURRENT} concurrent requests over three replicas`, () => {
  it("overspend no budget of their lineage, reserve on all budgets or on none, and leave nothing unused", async () => {
    const tree = await budgetTree();
    const answers = await Promise.all(requests(tree).map((request, n) => replicas[n % 3]!.admit(request)));
    const totals = await policy.totals(tree.namespaceId);
    expect(overspent(totals)).toEqual([]);
    const admitted = answers.filter(({ outcome }) => outcome === "admitted");
    expect(admitted.length).toBeLessThan(CONCURRENT);
    await expectReservationsMatch(tree, admitted);
    // Their parent's is the tightest; the last request got what remained of it.
    for (const each of totals.values()) expect(consumedNano(each)).toBeGreaterThan(0n);
    const fullyUsed = [...totals.values()].filter((each) => consumedNano(each) === each.limitNano);
    expect(fullyUsed.map(({ limitNano }) => limitNano)).toContain(905_000n);
  });

  it("overspend no budget at any moment while others settle and void", async () => {
    const tree = await budgetTree();
    const watching = { over: false };
    const watcher = (async () => {
      const seen: BudgetTotals[] = [];
      while (!watching.over) seen.push(...overspent(await policy.totals(tree.namespaceId)));
      return seen;
    })();
    await Promise.all(
      requests(tree).map(async (request, n) => {
        const answer = await replicas[n % 3]!.admit(request);
        if (answer.outcome === "denied") return;
        const other = replicas[(n + 1) % 3]!;
        if (n % 3 === 0) await other.void(request, true);
        else await other.settle(request, used(answer.reservedNano / 2n));
      }),
    );
    watching.over = true;
    expect(await watcher).toEqual([]);
    const totals = await policy.totals(tree.namespaceId);
    expect(overspent(totals)).toEqual([]);
    expect([...totals.values()].map(({ reservedNano }) => reservedNano)).toEqual([0n, 0n, 0n, 0n]);
  });

  it("overspend with check-then-record, so the load above is high enough to show the difference", async () => {
    const tree = await budgetTree();
    await Promise.all(requests(tree).map((request) => again(() => checkThenRecord(tree.namespaceId, request))));
    expect(overspent(await policy.totals(tree.namespaceId)).length).toBeGreaterThan(0);
  });
});

describe("requests of one namespace that are decided together", () => {
  it("fail each for the policies that apply to it: a policy that cannot be read does not fail the others", async () => {
    const namespaceId = newId("ns");
    const [well, ill] = [policy.key(namespaceId), policy.key(namespaceId)];
    await policy.budget(namespaceId, 1_000n, well.id);
    const { policy: unreadable } = await policy.budget(namespaceId, 1_000n, ill.id);
    await policy.corrupt(unreadable.id);
    const answers = await Promise.allSettled(
      Array.from({ length: 30 }, (_, n) =>
        replicas[0]!.admit(requestOf(namespaceId, (n % 2 === 0 ? well : ill).lineage, 10n)),
      ),
    );
    const states = answers.map((answer) => (answer.status === "fulfilled" ? answer.value.outcome : answer.status));
    expect(states).toEqual(states.map((_, n) => (n % 2 === 0 ? "admitted" : "rejected")));
  });

  it("are each settled with its own cost, and a request that is admitted twice has one reservation", async () => {
    const namespaceId = newId("ns");
    const key = policy.key(namespaceId);
    await policy.budget(namespaceId, 100_000n, key.id);
    const requests = Array.from({ length: 40 }, () => requestOf(namespaceId, key.lineage, 10n));
    await Promise.all([...requests, ...requests].map((request) => replicas[0]!.admit(request)));
    const [reserved] = [...(await policy.totals(namespaceId)).values()];
    expect(reserved).toMatchObject({ spentNano: 0n, reservedNano: 40n * 10_000n });
    await Promise.all([...requests, ...requests].map((key, n) => replicas[0]!.settle(key, used(BigInt(n % 40)))));
    const [settled] = [...(await policy.totals(namespaceId)).values()];
    expect(settled).toMatchObject({ spentNano: 780n, reservedNano: 0n });
  });
});

/** Expects that each budget has reserved the sum of its open reservations, and that each reservation is on all budgets of its lineage. */
async function expectReservationsMatch({ namespaceId }: Tree, admitted: readonly AdmissionResult[]): Promise<void> {
  const holds = await policy.admin.within({}, (tx) =>
    tx.selectFrom("holds").selectAll().where("namespace_id", "=", namespaceId).execute(),
  );
  expect(holds).toHaveLength(admitted.length);
  for (const hold of holds) expect(hold.budget_binding_ids).toHaveLength(3);
  for (const [bindingId, { reservedNano }] of await policy.totals(namespaceId)) {
    const onIt = holds.filter((hold) => hold.budget_binding_ids.includes(bindingId));
    expect(reservedNano).toBe(onIt.reduce((sum, hold) => sum + hold.amount_nano, 0n));
  }
}

/** Check-then-record, the obvious wrong way: without a lock, the check is outdated at the time of the write. */
async function checkThenRecord(namespaceId: Id<"ns">, request: ReturnType<typeof requestOf>): Promise<void> {
  await policy.database.within({ namespaceId }, async (tx) => {
    const { rows } = await sql<{ limit: bigint; reserved: bigint; id: string }>`
      select b.id, (p.spec->>'limit_micro_usd')::bigint * 1000 as limit, c.reserved_nano as reserved
      from bindings b join policies p on p.id = b.policy_id join counters c on c.binding_id = b.id
      where b.principal_id = any(${[namespaceId, ...request.lineage]})`.execute(tx);
    const bindings = rows.map((row) => ({
      limits: { budget: { window: "day" as const, limitNano: row.limit } },
      counter: { ...EMPTY_COUNTER, reservedNano: row.reserved },
      shadow: false,
    }));
    const decision = decideAdmission(request, bindings, Date.now());
    if (decision.outcome === "deny") return;
    await sql`update counters set reserved_nano = reserved_nano + ${decision.reservedNano}
              where binding_id = any(${rows.map(({ id }) => id)})`.execute(tx);
  });
}

describe("one request", () => {
  // One budget fits the request one and a half times, the other exactly once: a repeated call then looks like one to deny.
  it.each([15n, 10n])(
    "is reserved once on a budget of %d, however often it is admitted at the same instant",
    async (limit) => {
      const namespaceId = newId("ns");
      const key = policy.key(namespaceId);
      await policy.budget(namespaceId, limit);
      const request = requestOf(namespaceId, key.lineage, 10n);
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => replicas[n % 2]!.admit(request)));
      expect(answers[0]).toMatchObject({ outcome: "admitted", reservedNano: 10_000n });
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      expect([...(await policy.totals(namespaceId)).values()][0]?.reservedNano).toBe(10_000n);
    },
  );

  it("ends by exactly one of settle, void and expiry", async () => {
    for (let round = 0; round < 30; round += 1) {
      const namespaceId = newId("ns");
      const key = policy.key(namespaceId);
      await policy.budget(namespaceId, 1_000n);
      await policy.budget(namespaceId, 1_000n, key.id);
      const request = requestOf(namespaceId, key.lineage, 100n);
      await policy.admission.admit(request);
      await makeOverdue(namespaceId);
      const next = requestOf(namespaceId, key.lineage, 1n);
      const contenders = [
        () => replicas[0]!.settle(request, used(40_000n)),
        () => replicas[1]!.void(request, true),
        () => replicas[0]!.admit(next),
        () => replicas[1]!.settle(request, used(40_000n)),
      ];
      const first = round % contenders.length;
      await Promise.all([...contenders.slice(first), ...contenders.slice(0, first)].map((contend) => contend()));
      const totals = [...(await policy.totals(namespaceId)).values()];
      expect(totals[0]).toEqual(totals[1]);
      expect(totals[0]?.reservedNano).toBe(1_000n);
      // Voided, or settled, perhaps after an expiry that the settlement corrects.
      expect([0n, 40_000n]).toContain(totals[0]?.spentNano);
      const states = await statesOf(namespaceId, request.requestId);
      expect(states).toEqual([totals[0]?.spentNano === 0n ? "voided" : "settled"]);
    }
  });

  it("that is voided while its admission is still running leaves no open reservation", async () => {
    for (let round = 0; round < 30; round += 1) {
      const namespaceId = newId("ns");
      const key = policy.key(namespaceId);
      await policy.budget(namespaceId, 1_000n);
      const request = requestOf(namespaceId, key.lineage, 100n);
      const [admitted] = await Promise.allSettled([replicas[0]!.admit(request), replicas[1]!.void(request, true)]);
      expect([...(await policy.totals(namespaceId)).values()][0]).toMatchObject({ reservedNano: 0n, spentNano: 0n });
      if (admitted.status === "rejected") expect(admitted.reason).toMatchObject({ reason: "STATE_CONFLICT" });
    }
  });
});

async function makeOverdue(namespaceId: Id<"ns">): Promise<void> {
  await policy.admin.within({}, (tx) =>
    tx
      .updateTable("holds")
      .set({ expires_at: sql`clock_timestamp() - interval '1 second'` })
      .where("namespace_id", "=", namespaceId)
      .execute(),
  );
}

async function statesOf(namespaceId: Id<"ns">, requestId: Id<"req">): Promise<readonly string[]> {
  const rows = await policy.admin.within({}, (tx) =>
    tx
      .selectFrom("holds")
      .select("state")
      .where("namespace_id", "=", namespaceId)
      .where("request_id", "=", requestId)
      .execute(),
  );
  return rows.map(({ state }) => state);
}
