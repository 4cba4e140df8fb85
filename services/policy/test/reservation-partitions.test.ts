import { type Id, idBound, newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createAdmission } from "../src/domain/admission/admission.ts";
import { expireOverdue } from "../src/jobs/partition-reservations.ts";
import { createLedger } from "../src/store/ledger.ts";
import { createReservationPartitions } from "../src/store/reservation-partitions.ts";
import { type PolicyUnderTest, requestOf, RESERVATION_TTL_MS, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
let partitions: ReturnType<typeof createReservationPartitions>;

beforeAll(async () => {
  policy = await startPolicyUnderTest();
  partitions = createReservationPartitions(policy.database);
});
afterAll(() => policy.stop());

const DAY_MS = 86_400_000;
const used = (costNano: bigint) => ({ costNano, tokens: 1n });

async function rowsOf<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  return (await policy.admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
}

/** A request id of another time. */
async function idAt(time: number): Promise<Id<"req">> {
  const [row] = await rowsOf<{ id: string }>(sql`select hold_id_of(${new Date(time)}) as id`);
  return `${row?.id}${newId("req").slice(14)}` as Id<"req">;
}

const partitionOf = async (requestId: string): Promise<string | undefined> =>
  (
    await rowsOf<{ name: string }>(
      sql`select tableoid::regclass::text as name from holds where request_id = ${requestId}`,
    )
  )[0]?.name;

/**
 * Adds the partition of an earlier day, as if the service had run then: the legacy table begins after it.
 */
async function addPastDay(daysAgo: number): Promise<string> {
  const start = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - daysAgo * DAY_MS);
  const name = `holds_past${daysAgo}`;
  const [bounds] = await rowsOf<{ first: string; end: string }>(
    sql`select hold_id_of(${start}) as first, hold_id_of(${new Date(start.getTime() + DAY_MS)}) as end`,
  );
  const { first = "", end = "" } = bounds ?? {};
  const [legacy] = await rowsOf<{ bound: string }>(
    sql`select substring(pg_get_expr(relpartbound, oid) from 'TO \\(''([^'']+)''\\)') as bound
        from pg_class where oid = 'holds_legacy'::regclass`,
  );
  await policy.tamper(sql`alter table holds detach partition holds_legacy`);
  await policy.tamper(
    sql`alter table holds attach partition holds_legacy for values from (${sql.lit(end)}) to (${sql.lit(legacy?.bound)})`,
  );
  await policy.tamper(
    sql`create table ${sql.table(name)} partition of holds for values from (${sql.lit(first)}) to (${sql.lit(end)})`,
  );
  await policy.tamper(sql`alter table ${sql.table(name)} owner to routeplane_policy_owner`);
  await policy.tamper(sql`alter table ${sql.table(name)} enable row level security, force row level security`);
  return name;
}

it("the lowest id of a moment is that of its milliseconds", async () => {
  const before = Date.now();
  const id = newId("req");
  const after = Date.now();
  const [row] = await rowsOf<{ low: string; high: string }>(
    sql`select hold_id_of(${new Date(before)}) as low, hold_id_of(${new Date(after + 1)}) as high`,
  );
  expect(id >= (row?.low ?? "")).toBe(true);
  expect(id < (row?.high ?? "")).toBe(true);
});

it("computes the same least id as the database", async () => {
  const times = [0, 1, 31, 32, 1_795_949_566_000, 1_795_949_566_123, 2 ** 47];
  const bounds = await Promise.all(
    times.map((time) => rowsOf<{ id: string }>(sql`select hold_id_of(${new Date(time)}) as id`)),
  );
  expect(bounds.map(([row]) => row?.id)).toEqual(times.map((time) => idBound("req", time)));
});

it("the table of an earlier release gets a bound while requests run, and days follow it", async () => {
  const { request, total, namespaceId } = await policy.oneBudget(1_000n);
  const [first, second] = [request(10n), request(20n)];
  await policy.admission.admit(first);
  expect(await partitionOf(first.requestId)).toBe("holds_legacy");
  expect(await partitions.create()).toEqual([]);
  const indexes = () =>
    rowsOf(sql`select indexrelid from pg_index where indrelid = 'holds_legacy'::regclass order by 1`);
  const before = await indexes();
  expect(await partitions.boundLegacy()).toBe(true);
  expect(await partitions.boundLegacy()).toBe(false);
  // Nothing was rebuilt: attaching needed no scan for indexes.
  expect(await indexes()).toEqual(before);
  expect(await partitions.create()).toHaveLength(2);
  expect(await partitions.create()).toEqual([]);
  const soon = { ...request(30n), requestId: await idAt(Date.now() + 2 * DAY_MS) };
  for (const each of [second, soon]) await policy.admission.admit(each);
  expect(await partitionOf(second.requestId)).toBe("holds_legacy");
  expect(await partitionOf(soon.requestId)).toMatch(/^holds_d\d{8}$/);
  expect((await total())?.reservedNano).toBe(60_000n);
  for (const each of [first, second, soon]) await policy.admission.settle(each, used(1_000n));
  expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 3_000n });
  const rows = await policy.admin.within({}, (tx) =>
    tx.selectFrom("holds").select("state").where("namespace_id", "=", namespaceId).execute(),
  );
  expect(rows.map(({ state }) => state)).toEqual(["settled", "settled", "settled"]);
});

it("an idempotency key is used once over all partitions, also by concurrent requests", async () => {
  const { request } = await policy.oneBudget(10_000n);
  const replicas = [policy.admission, policy.replica()];
  for (let round = 0; round < 10; round++) {
    const idempotencyKey = `key ${round}`;
    const { keyId, namespaceId, lineage } = request(1n);
    const requests = await Promise.all(
      [0, 1, 2, 3].map(async (day) => {
        const requestId = await idAt(Date.now() + day * DAY_MS);
        return Object.assign(request(1n), { keyId, namespaceId, lineage, requestId, idempotencyKey });
      }),
    );
    const outcomes = await Promise.allSettled(requests.map((each, index) => replicas[index % 2]!.admit(each)));
    const admitted = requests.filter((_, index) => outcomes[index]?.status === "fulfilled");
    expect(admitted).toHaveLength(1);
    const [winner] = admitted;
    const refused = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    for (const reason of refused) expect(reason).toMatchObject({ code: "already_exists" });
    // A request without a cost frees its key, whatever its day.
    await policy.admission.void(winner!, false);
    const again = { ...winner!, requestId: await idAt(Date.now() + 2 * DAY_MS) };
    expect(await policy.admission.admit(again)).toMatchObject({ outcome: "admitted" });
  }
});

it("an admission and a settlement open the partitions around the request's day, and no others", async () => {
  await partitions.boundLegacy();
  await partitions.create();
  const { request, namespaceId } = await policy.oneBudget(1_000n);
  // Once for each connection, so that their statements are prepared.
  await Promise.all(Array.from({ length: 20 }, () => policy.admission.admit(request(1n))));
  const each = request(1n);
  /** Lists the partitions with an index that a call has opened when it waits for the counter of its budget. */
  const opened = (call: () => Promise<unknown>): Promise<readonly string[]> =>
    policy.admin.within({}, async (tx) => {
      await sql`select from counters where namespace_id = ${namespaceId} for update`.execute(tx);
      const running = call();
      const names = await eventually(async () => {
        const rows = await rowsOf<{ name: string }>(
          sql`select distinct of_index.indrelid::regclass::text as name
              from pg_locks waiting join pg_locks held using (pid) join pg_stat_activity using (pid) join pg_index of_index on of_index.indexrelid = held.relation
              where datname = current_database() and not waiting.granted and of_index.indrelid::regclass::text like 'holds\\_%'`,
        );
        return rows.length === 0 ? undefined : rows.map(({ name }) => name).toSorted();
      });
      pending.push(running);
      return names;
    });
  const pending: Promise<unknown>[] = [];
  expect(await opened(() => policy.admission.admit(each))).toEqual(["holds_legacy"]);
  await Promise.all(pending);
  expect(await opened(() => policy.admission.settle(each, used(1_000n)))).toEqual(["holds_legacy"]);
  await Promise.all(pending);
});

it("a new day takes over its ids from the default partition, where a clock that is days ahead has put them", async () => {
  const { request, total } = await policy.oneBudget(1_000n);
  const early = { ...request(10n), requestId: await idAt(Date.now() + 6 * DAY_MS) };
  await policy.admission.admit(early);
  expect(await partitionOf(early.requestId)).toBe("holds_default");
  await policy.database.within({ node: true }, (tx) => sql`select ensure_hold_partitions(7)`.execute(tx));
  expect(await partitionOf(early.requestId)).toMatch(/^holds_d\d{8}$/);
  expect((await total())?.reservedNano).toBe(10_000n);
  await policy.admission.settle(early, used(1_000n));
  expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 1_000n });
});

it("reports how many reservations are open, and what they reserve", async () => {
  const { request } = await policy.oneBudget(1_000n);
  const [first, second] = [request(10n), request(20n)];
  const before = await partitions.openTotals();
  for (const each of [first, second]) await policy.admission.admit(each);
  expect(await partitions.openTotals()).toEqual({
    reservations: before.reservations + 2n,
    reservedNano: before.reservedNano + 30_000n,
  });
  await policy.admission.settle(first, used(1_000n));
  expect(await partitions.openTotals()).toEqual({
    reservations: before.reservations + 1n,
    reservedNano: before.reservedNano + 20_000n,
  });
});

it("a repeated admission of a request is one reservation, in any partition", async () => {
  const { request, total } = await policy.oneBudget(10_000n);
  const replicas = [policy.admission, policy.replica()];
  for (let round = 0; round < 10; round++) {
    const repeated = { ...request(1n), requestId: await idAt(Date.now() + 2 * DAY_MS) };
    const outcomes = await Promise.all(replicas.map((replica) => replica.admit(repeated)));
    expect(outcomes).toMatchObject([{ outcome: "admitted" }, { outcome: "admitted" }]);
  }
  expect((await total())?.reservedNano).toBe(10_000n);
});

it("a day is dropped once everything of it ended a day ago, and not before", async () => {
  const name = await addPastDay(3);
  const { request, total, namespaceId } = await policy.oneBudget(1_000n);
  const at = Date.now() - 3 * DAY_MS;
  const requests = [
    { ...request(10n), requestId: await idAt(at) },
    { ...request(20n), requestId: await idAt(at) },
  ] as const;
  for (const each of requests) await policy.admission.admit(each);
  expect(await partitionOf(requests[0].requestId)).toBe(name);
  const age = (condition: ReturnType<typeof sql>) =>
    policy.tamper(sql`update holds set expires_at = now() - interval '25 hours', closed_at = closed_at - interval '25 hours'
      where namespace_id = ${namespaceId} and ${condition}`);
  await policy.admission.settle(requests[0], used(1_000n));
  await age(sql`true`);
  // One is open: its amount is reserved.
  expect(await partitions.dropOldest()).toBeUndefined();
  expect((await total())?.reservedNano).toBe(20_000n);
  // The namespace has no traffic: the job expires what is overdue, and keeps it for a day.
  await expireOverdue(partitions, createLedger(policy.database));
  expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 21_000n });
  expect(await partitions.dropOldest()).toBeUndefined();
  // A late settlement corrects the charge.
  await policy.admission.settle(requests[1], used(5_000n));
  expect((await total())?.spentNano).toBe(6_000n);
  await age(sql`request_id = ${requests[1].requestId}`);
  // A gateway session of that day may report its requests again, until a day after it is closed.
  const session = (statement: ReturnType<typeof sql>) => policy.tamper(statement);
  await session(sql`insert into gateway_sessions (id, renewal, nonce, gateway, opened_at)
    values (${newId("gws")}, 1, 1, 'test', now() - interval '80 hours')`);
  expect(await partitions.dropOldest()).toBeUndefined();
  await session(sql`update gateway_sessions set state = 'closed', closed_at = now() - interval '23 hours'`);
  expect(await partitions.dropOldest()).toBeUndefined();
  await session(sql`update gateway_sessions set closed_at = now() - interval '25 hours'`);
  expect(await partitions.dropOldest()).toBe(name);
  expect(await partitions.dropOldest()).toBeUndefined();
  expect(await partitionOf(requests[0].requestId)).toBeUndefined();
  expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 6_000n });
});

it("expires everything overdue in a namespace without traffic, whatever the amount", async () => {
  const { namespaceId, key, total } = await policy.oneBudget(1_000_000n);
  const requests = Array.from({ length: 150 }, () => requestOf(namespaceId, key.lineage, 10n));
  await Promise.all(requests.map((each) => policy.admission.admit(each)));
  await policy.tamper(
    sql`update holds set expires_at = now() - interval '2 hours' where namespace_id = ${namespaceId}`,
  );
  await expireOverdue(partitions, createLedger(policy.database));
  expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 1_500_000n });
});

it("reservations of ids that belong to no day are kept for a day after their end, and deleted one by one", async () => {
  const { request, namespaceId } = await policy.oneBudget(1_000n);
  const [old, late, open] = await Promise.all(
    [10n, 20n, 30n].map(async (micro) =>
      Object.assign(request(micro), { requestId: await idAt(Date.now() + 300 * DAY_MS) }),
    ),
  );
  for (const each of [old!, late!, open!]) await policy.admission.admit(each);
  expect(await partitionOf(old!.requestId)).toBe("holds_default");
  await policy.admission.settle(old!, used(0n));
  await policy.tamper(
    sql`update holds set expires_at = now() - interval '25 hours', closed_at = closed_at - interval '25 hours'
        where namespace_id = ${namespaceId}`,
  );
  await policy.admission.settle(late!, used(0n));
  expect(await partitions.deleteStray(1_000)).toBe(1);
  const left = await policy.admin.within({}, (tx) =>
    tx.selectFrom("holds").select("request_id").where("namespace_id", "=", namespaceId).execute(),
  );
  expect(left.map(({ request_id }) => request_id).toSorted()).toEqual([late!.requestId, open!.requestId].toSorted());
});

it("admissions go on while a partition is created or dropped, and a long reader blocks neither them nor the job for long", async () => {
  const { request } = await policy.oneBudget(1_000_000n);
  await policy.admin.within({}, async (tx) => {
    await sql`select count(*) from holds`.execute(tx);
    await policy.tamper(sql`drop table if exists holds_d20990101`);
    const admitting = createAdmission(createLedger(policy.database), RESERVATION_TTL_MS);
    await expect(
      policy.database.within({ node: true }, (other) => sql`select ensure_hold_partitions(30)`.execute(other)),
    ).rejects.toThrow(/lock timeout/);
    expect(await admitting.admit(request(1n))).toMatchObject({ outcome: "admitted" });
  });
  expect(await policy.admission.admit(requestOf(newId("ns"), [newId("key")], 1n))).toMatchObject({
    outcome: "admitted",
  });
});
