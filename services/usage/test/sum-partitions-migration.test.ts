import { newId } from "@routeplane/domain";
import { migrateToLatest, openDatabase } from "@routeplane/postgres";
import { cloneDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { expect, onTestFinished, test } from "vitest";
import { migrations } from "../migrations/index.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";
import { allTotalsIn } from "./queries.ts";

const DAY_MS = 86_400_000;

/** Migrates a database with sums of these times, and reads the resulting tables. */
async function migrateWith(times: readonly Date[]) {
  const clone = await cloneDatabase();
  const open = (url: string) => openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
  const [admin, query] = [open(clone.adminUrlOf("usage")), open(clone.url("routeplane_usage"))];
  onTestFinished(async () => {
    await Promise.all([admin.stop(), query.stop()]);
    await clone.drop();
  });
  const migrate = (to: typeof migrations) =>
    migrateToLatest({ url: clone.url("routeplane_usage_owner"), schema: "usage", migrations: to });
  await admin.within({}, async (tx) => {
    await sql`drop schema usage cascade`.execute(tx);
    await sql`create schema usage authorization routeplane_usage_owner`.execute(tx);
    await sql`grant usage on schema usage to routeplane_usage, routeplane_aggregator`.execute(tx);
  });
  await migrate(Object.fromEntries(Object.entries(migrations).filter(([name]) => name < "0022")));
  const namespaceId = newId("ns");
  await admin.within({}, async (tx) => {
    for (const time of times) {
      for (const minutes of [5, 1440])
        await sql`insert into totals (namespace_id, minutes, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
          values (${namespaceId}, ${minutes}, date_bin(make_interval(mins => ${minutes}), ${time}, timestamptz '2000-01-01Z'), 1, 2, 3, 4)`.execute(
          tx,
        );
    }
  });
  const indexes = async (table: string) => {
    const { rows } = await admin.within({}, (tx) =>
      sql<{
        oid: number;
      }>`select indexrelid::int as oid from pg_index where indrelid = ${table}::regclass order by 1`.execute(tx),
    );
    return rows.map(({ oid }) => oid);
  };
  const before = await indexes("usage.totals");
  await migrate(migrations);
  expect(await indexes("usage.totals_legacy"), "nothing was built anew").toEqual(before);
  const { rows } = await admin.within({}, (tx) =>
    sql<{
      ends: Date;
    }>`select distinct substring(pg_get_expr(relpartbound, oid) from 'TO \\(''([^'']+)''\\)')::timestamptz as ends
      from pg_class where relname like '%\\_legacy' and relispartition and relnamespace = 'usage'::regnamespace`.execute(
      tx,
    ),
  );
  return { totals: await allTotalsIn(createUsageStore(query), namespaceId), ends: rows.map(({ ends }) => ends) };
}

const monthAhead = (of: Date, ahead: number) => new Date(Date.UTC(of.getUTCFullYear(), of.getUTCMonth() + ahead, 1));

test("each table of sums becomes its first partition, up to a month that begins in at least 31 days", async () => {
  const now = new Date();
  const { totals, ends } = await migrateWith([now, new Date(now.getTime() - 900 * DAY_MS)]);
  expect(totals).toMatchObject({ requestCount: 2n, promptTokens: 4n, completionTokens: 6n, costNanoUsd: 8n });
  expect(ends).toEqual([monthAhead(now, 2)]);
});

test("a sum in the far future, from a wrong clock, does not fail the migration and is kept", async () => {
  const far = new Date(Date.UTC(2091, 4, 6));
  const { totals, ends } = await migrateWith([far, new Date()]);
  expect(totals.requestCount).toBe(2n);
  expect(ends).toEqual([monthAhead(far, 1)]);
});
