import { type Id, newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deduplicate } from "../src/domain/deduplication.ts";
import { UnstorableError } from "../src/domain/ports.ts";
import { pageRequest, usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { openUsageDatabase, startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let admin: UsageDatabase["query"];
beforeEach(async () => {
  database = await startUsageDatabase();
  admin = openUsageDatabase(database.clone.adminUrlOf("usage"));
});
afterEach(async () => {
  await admin.stop();
  await database.stop();
});

const SUMS = ["rollups_hourly", "rollups_daily", "totals", "unlogged_denials_hourly"] as const;
const DAY_MS = 86_400_000;

async function asAdmin<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  return (await admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
}

/** First moment of a month in UTC, relative to this one. */
function month(ahead: number): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1));
}

const suffixOf = (of: Date): string => `y${of.toISOString().slice(0, 7).replace("-", "m")}`;
const settledAt = (namespaceId: Id<"ns">, createdAt: Date) =>
  settledRequest(pendingRequest({ namespaceId, createdAt, id: newId("req") }));

async function record(namespaceId: Id<"ns">, times: readonly Date[]): Promise<void> {
  await database.log.record(deduplicate(times.map((time) => settledAt(namespaceId, time))));
}

async function countIn(namespaceId: Id<"ns">, from: Date, to: Date, model?: string): Promise<bigint | undefined> {
  const groups = await database.usage.sumUsage(namespaceId, usageQuery({ range: { from, to }, model }));
  return groups[0]?.requestCount;
}

/** Names of the partitions that have rows of a namespace, by table. */
async function homesOf(table: string, namespaceId: Id<"ns">): Promise<readonly string[]> {
  const rows = await asAdmin<{ home: string }>(
    sql`select distinct tableoid::regclass::text as home from ${sql.table(table)} where namespace_id = ${namespaceId} order by 1`,
  );
  return rows.map(({ home }) => home);
}

/** Replaces the empty first partition of the sums by months, as if this version had run for long. */
async function addPastMonths(from: number): Promise<void> {
  for (const table of [...SUMS, "requests"]) {
    if (table !== "requests") await asAdmin(sql`drop table ${sql.table(`${table}_legacy`)}`);
    for (let ahead = from; ahead < (table === "requests" ? 0 : 4); ahead++) {
      const [start, end] = [month(ahead), month(ahead + 1)].map((each) => sql.lit(each.toISOString()));
      await addPartition(table, `${table}_${suffixOf(month(ahead))}`, sql`from (${start}) to (${end})`);
    }
  }
}

async function addPartition(table: string, name: string, bounds: ReturnType<typeof sql>): Promise<void> {
  await asAdmin(sql`drop table if exists ${sql.table(name)}`);
  await asAdmin(sql`create table ${sql.table(name)} partition of ${sql.table(table)} for values ${bounds}`);
  await asAdmin(sql`alter table ${sql.table(name)} owner to routeplane_usage_owner`);
  await asAdmin(sql`alter table ${sql.table(name)} enable row level security, force row level security`);
}

describe("sums", () => {
  test("continue the former table by month, in partitions that are created ahead, and are exact across the border", async () => {
    const border = month(2);
    const created = await database.log.createPartitions(undefined);
    expect(created).toEqual(SUMS.flatMap((table) => [2, 3].map((ahead) => `${table}_${suffixOf(month(ahead))}`)));
    expect(await database.log.createPartitions(undefined)).toEqual([]);
    const namespaceId = newId("ns");
    const times = [-90_000, -1, 0, 3_700_000].map((ms) => new Date(border.getTime() + ms));
    await record(namespaceId, times);
    for (const table of ["rollups_hourly", "rollups_daily", "totals"])
      expect(await homesOf(table, namespaceId)).toEqual([`${table}_legacy`, `${table}_${suffixOf(border)}`]);
    const around = [new Date(border.getTime() - DAY_MS), new Date(border.getTime() + DAY_MS)] as const;
    expect(await countIn(namespaceId, ...around)).toBe(4n);
    expect(await countIn(namespaceId, around[0], border)).toBe(2n);
    expect(await countIn(namespaceId, border, around[1])).toBe(2n);
    expect(await countIn(namespaceId, new Date(border.getTime() - 1), new Date(border.getTime() + 1))).toBe(2n);
    // Filtered by model, which reads the rollups.
    expect(await countIn(namespaceId, ...around, settledAt(namespaceId, border).model)).toBe(4n);
  });

  test("of a month without a partition are in the default one, and move once the month gets its partition", async () => {
    const namespaceId = newId("ns");
    const times = [month(3), new Date(month(4).getTime() - 1), month(5)];
    await record(namespaceId, times);
    const tables = ["rollups_hourly", "rollups_daily", "totals"];
    for (const table of tables) expect(await homesOf(table, namespaceId)).toEqual([`${table}_default`]);
    expect(await database.log.createPartitions(undefined)).toHaveLength(8);
    for (const table of tables)
      expect(await homesOf(table, namespaceId)).toEqual([`${table}_default`, `${table}_${suffixOf(month(3))}`]);
    expect(await countIn(namespaceId, month(3), month(4))).toBe(2n);
    expect(await countIn(namespaceId, month(4), month(6))).toBe(1n);
    // Row-level security and the indexes are those of any month.
    await record(namespaceId, [times[0]!]);
    expect(await countIn(namespaceId, month(3), month(4))).toBe(3n);
    const [open] = await asAdmin<{ count: bigint }>(
      sql`select count(*) from pg_class where relnamespace = 'usage'::regnamespace and relkind = 'r' and relname ~ '_y[0-9]{4}m'
        and not (relrowsecurity and relforcerowsecurity)`,
    );
    expect(open?.count).toBe(0n);
  });

  test("that cannot be created in one table do not prevent the partitions of other tables", async () => {
    await asAdmin(sql`alter table rollups_hourly owner to current_user`);
    await expect(database.log.createPartitions(undefined)).rejects.toThrow("could not be made");
    const made = await asAdmin<{ made: string | null }>(
      sql`select to_regclass('usage.' || t || ${`_${suffixOf(month(3))}`}::text)::text as made from unnest(${[...SUMS]}::text[]) t`,
    );
    expect(made.map((row) => row.made !== null)).toEqual([false, true, true, true]);
  });

  test("are dropped by month, never before their requests, and queries for dropped usage are refused", async () => {
    await addPastMonths(-15);
    const namespaceId = newId("ns");
    const recent = new Date(Date.now() - DAY_MS);
    await record(namespaceId, [month(-15), month(-14), month(-3), recent]);
    // Their requests still exist, so that sums and rows stay comparable.
    expect(await database.log.dropExpiredSums(30)).toEqual([]);
    // Less than 13 months, so that the second of them is over on any day of this month.
    await database.log.dropExpiredPartitions(390);
    const [retention] = await asAdmin<{ kept_from: Date }>(sql`select kept_from from retention`);
    const keptFrom = retention?.kept_from ?? expect.fail();
    // Sums outlive the requests for as long as they are to be kept.
    expect(await database.log.dropExpiredSums(3_650)).toEqual([]);
    expect(await countIn(namespaceId, month(-15), new Date())).toBe(4n);
    const dropped = await database.log.dropExpiredSums(30);
    expect(dropped).toContain(`totals_${suffixOf(month(-15))}`);
    expect(dropped).toHaveLength(4 * Math.round((keptFrom.getTime() - month(-15).getTime()) / (30.44 * DAY_MS)));
    expect(await database.log.dropExpiredSums(30)).toEqual([]);
    await expect(countIn(namespaceId, new Date(keptFrom.getTime() - 1), new Date())).rejects.toMatchObject({
      message: `from: usage from before ${keptFrom.toISOString()} is not kept any more`,
      metadata: { kept_from: keptFrom.toISOString() },
    });
    expect(await countIn(namespaceId, keptFrom, new Date())).toBe(2n);
    expect(await countIn(namespaceId, new Date(Date.now() - 29 * DAY_MS), new Date())).toBe(1n);
    await expect(database.log.dropExpiredSums(29)).rejects.toThrow("at least 30 days are kept");
  });

  test("that are dropped while a query waits for them are refused, not read as zero", async () => {
    await addPastMonths(-15);
    const namespaceId = newId("ns");
    await record(namespaceId, [month(-15), month(-3)]);
    await database.log.dropExpiredPartitions(390);
    const counted = await admin.within({ node: true }, async (tx) => {
      await sql`lock table ${sql.join([...SUMS, "requests"].map((table) => sql.table(table)))}`.execute(tx);
      const call = countIn(namespaceId, month(-15), new Date()).catch((error: unknown) => error);
      const waiting = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      await eventually(async () => (await asAdmin(waiting)).length > 0);
      await sql`select drop_sum_partitions(30)`.execute(tx);
      return { call };
    });
    expect(await counted.call).toMatchObject({ message: expect.stringContaining("is not kept any more") });
  });

  test("are changed in their own partitions, and no other partition is opened", async () => {
    await addPastMonths(-15);
    const namespaceId = newId("ns");
    const request = pendingRequest({ namespaceId, id: newId("req") });
    await database.log.record([request]);
    // A statement that opens this partition for a change waits for this transaction.
    const distant = `rollups_hourly_${suffixOf(month(-15))}`;
    await admin.within({}, async (tx) => {
      await sql`lock table ${sql.table(distant)} in share mode`.execute(tx);
      await database.log.record([settledRequest(request)]);
    });
    expect(await homesOf("rollups_hourly", namespaceId)).toEqual([`rollups_hourly_${suffixOf(request.createdAt)}`]);
  });
});

describe("the request log", () => {
  test("does not call a request unstorable whose month gets its partition at that moment", async () => {
    const namespaceId = newId("ns");
    await record(namespaceId, [month(5)]);
    await asAdmin(sql`select ensure_partitions('requests', 5)`);
    const recorded = await admin.within({ node: true }, async (tx) => {
      await sql`select ensure_partitions('requests', 6)`.execute(tx);
      const call = record(namespaceId, [month(5)]).catch((error: unknown) => error);
      const waiting = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      await eventually(async () => (await asAdmin(waiting)).length > 0);
      return { call };
    });
    const error = await recorded.call;
    expect(error).toMatchObject({ message: expect.stringContaining("violates partition constraint") });
    expect(error).not.toBeInstanceOf(UnstorableError);
    await record(namespaceId, [month(5)]);
    expect(await homesOf("requests", namespaceId)).toEqual([`requests_${suffixOf(month(5))}`]);
  });

  test("moves requests of a month that gets its partition, e.g. of a gateway whose clock was ahead", async () => {
    const namespaceId = newId("ns");
    await asAdmin(sql`drop table ${sql.table(`requests_${suffixOf(month(3))}`)}`);
    await record(namespaceId, [month(3)]);
    expect(await homesOf("requests", namespaceId)).toEqual(["requests_default"]);
    expect(await database.log.createPartitions(undefined)).toContain(`requests_${suffixOf(month(3))}`);
    expect(await homesOf("requests", namespaceId)).toEqual([`requests_${suffixOf(month(3))}`]);
    const { rows } = await database.usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual([month(3)]);
  });

  test("has a partition for each day of the next month once a month is large enough, and works with both releases", async () => {
    expect(await database.log.createPartitions(2 ** 40)).toHaveLength(8);
    const days = await database.log.createPartitions(1);
    const count = new Date(month(2).getTime() - 1).getUTCDate();
    expect(days).toHaveLength(count);
    expect(days[0]).toBe(`requests_${suffixOf(month(1))}d01`);
    expect(await database.log.createPartitions(1)).toEqual([]);
    // As the previous release creates partitions.
    await database.aggregator.within({}, (tx) => sql`select ensure_request_partitions(4)`.execute(tx));
    const namespaceId = newId("ns");
    const noon = new Date(month(1).getTime() + 4 * DAY_MS);
    const times = [-1, 0, DAY_MS - 1].map((ms) => new Date(noon.getTime() + ms));
    await record(namespaceId, times);
    const day = (number: number) => `requests_${suffixOf(month(1))}d${String(number).padStart(2, "0")}`;
    expect(await homesOf("requests", namespaceId)).toEqual([day(4), day(5)]);
    const { rows } = await database.usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual(times.toReversed());
    expect(await countIn(namespaceId, times[0]!, new Date(noon.getTime() + DAY_MS))).toBe(3n);
  });

  test("keeps a month that has requests already as one partition", async () => {
    const namespaceId = newId("ns");
    await record(namespaceId, [new Date(month(1).getTime() + DAY_MS)]);
    await database.log.createPartitions(1);
    expect(await homesOf("requests", namespaceId)).toEqual([`requests_${suffixOf(month(1))}`]);
  });

  test("drops each day exactly when its retention is over", async () => {
    const midnight = Math.floor(Date.now() / DAY_MS) * DAY_MS;
    const day = (ago: number) => new Date(midnight - ago * DAY_MS);
    const name = (ago: number) => `requests_day${ago}`;
    for (const ago of [34, 33, 32, 31, 30]) {
      const [start, end] = [day(ago), day(ago - 1)].map((each) => sql.lit(each.toISOString()));
      await asAdmin(sql`drop table if exists ${sql.table(`requests_${suffixOf(day(ago))}`)}`);
      await addPartition("requests", name(ago), sql`from (${start}) to (${end})`);
    }
    const namespaceId = newId("ns");
    await record(namespaceId, [34, 33, 32, 31, 30].map(day));
    expect(await database.log.dropExpiredPartitions(30)).toEqual([34, 33, 32].map(name));
    const { rows } = await database.usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual([day(30), day(31)]);
    expect(await asAdmin(sql`select kept_from from retention`)).toEqual([{ kept_from: day(31) }]);
    // The sums stay.
    expect(await countIn(namespaceId, day(35), new Date())).toBe(5n);
  });

  test("finds a request by its id, also if it was received at another time than that of its id", async () => {
    const namespaceId = newId("ns");
    const [now, earlier] = [settledAt(namespaceId, new Date()), settledAt(namespaceId, month(-2))];
    await database.log.record(deduplicate([now, earlier]));
    for (const { id, createdAt } of [now, earlier])
      expect(await database.usage.get(namespaceId, id)).toMatchObject({ id, createdAt });
    expect(await database.usage.get(namespaceId, newId("req"))).toBeUndefined();
  });
});
