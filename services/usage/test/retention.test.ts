import { newId } from "@routeplane/domain";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageRequest, totalsIn } from "./queries.ts";
import { pendingRequest, settledRequest, usageEvent } from "./requests.ts";
import { recordEvents } from "../src/consumers/usage-events.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { openUsageDatabase, startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let clone: UsageDatabase["clone"];
let log: UsageDatabase["log"];
let usage: UsageDatabase["usage"];

beforeAll(async () => {
  database = await startUsageDatabase();
  ({ clone, log, usage } = database);
});

afterAll(() => database.stop());

describe("retention", () => {
  test("expired partitions are dropped; their sums and all other requests stay", async () => {
    const month = (monthsAgo: number) => {
      const now = new Date();
      return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - monthsAgo, 1));
    };
    const name = (of: Date) => `requests_y${of.toISOString().slice(0, 7).replace("-", "m")}`;
    for (const monthsAgo of [15, 14, 13, 3]) {
      const [from, to] = [month(monthsAgo), month(monthsAgo - 1)].map((each) => sql.lit(each.toISOString()));
      const table = sql.table(`usage.${name(month(monthsAgo))}`);
      await asAdmin(sql`create table ${table} partition of usage.requests for values from (${from}) to (${to})`);
      await asAdmin(sql`alter table ${table} owner to routeplane_usage_owner`);
      await asAdmin(sql`alter table ${table} enable row level security, force row level security`);
    }
    const namespaceId = newId("ns");
    const requests = [15, 3, 0].map((monthsAgo) =>
      settledRequest(pendingRequest({ namespaceId, createdAt: month(monthsAgo) })),
    );
    await log.record(deduplicate(requests));
    expect(await log.dropExpiredPartitions(400)).toEqual([
      name(month(15)),
      ...(isExpired(month(13)) ? [name(month(14))] : []),
    ]);
    expect(await log.dropExpiredPartitions(400)).toEqual([]);
    const { rows } = await usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual([month(0), month(3)]);
    expect((await totalsIn(usage, namespaceId)).requestCount).toBe(3n);
    await expect(log.dropExpiredPartitions(29)).rejects.toThrow("at least 30 days are kept");
  });

  test("applies to rows of the default partition: they are deleted with their month, and younger ones are not", async () => {
    const now = new Date();
    const month = (monthsAgo: number, ms = 0) =>
      new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - monthsAgo, 1) + ms);
    const namespaceId = newId("ns");
    // The month of the day 401 days ago is the oldest that is kept.
    const cut = new Date(now.getTime() - 401 * 86_400_000);
    const kept = new Date(Date.UTC(cut.getUTCFullYear(), cut.getUTCMonth(), 1));
    const times = [new Date(kept.getTime() - 1), kept, month(-20), month(0)];
    await log.record(
      deduplicate(
        times.map((createdAt) => settledRequest(pendingRequest({ namespaceId, createdAt, id: newId("req") }))),
      ),
    );
    expect(await log.dropExpiredPartitions(400)).toEqual([]);
    const { rows } = await usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual([month(-20), month(0), kept]);
    expect(await asAdmin(sql`select kept_from from usage.retention`)).toEqual([{ kept_from: kept }]);
    // A longer retention does not bring back what was dropped.
    await log.dropExpiredPartitions(4_000);
    expect(await asAdmin(sql`select kept_from from usage.retention`)).toEqual([{ kept_from: kept }]);
  });

  test("counts no request again whose row was dropped under a shorter retention", async () => {
    const now = new Date();
    const createdAt = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 20, 1));
    const request = settledRequest(pendingRequest({ createdAt }));
    const recorder = { requests: log, retentionDays: 4_000, clock: Date.now };
    await log.record([request]);
    await log.dropExpiredPartitions(400);
    const younger = { ...request, id: newId("req"), createdAt: new Date(now.getTime() - 100 * 86_400_000) };
    const unrecorded = await recordEvents(recorder, [usageEvent(request), usageEvent(younger)]);
    expect(unrecorded).toMatchObject([
      {
        requestId: request.id,
        reason: expect.stringMatching(/^created_at: is before .*, of which the rows were dropped$/),
      },
    ]);
    expect((await totalsIn(usage, request.namespaceId)).requestCount).toBe(2n);
  });

  /** Returns true if a month with this end has been over for 400 days, plus one day for differing clocks. */
  const isExpired = (end: Date) => Date.now() - end.getTime() >= 401 * 86_400_000;
});

async function asAdmin<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  const admin = openUsageDatabase(clone.adminUrlOf("usage"));
  try {
    return (await admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
  } finally {
    await admin.stop();
  }
}
