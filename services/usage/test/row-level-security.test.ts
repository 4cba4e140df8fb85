import { type Database, openDatabase, type RoleName } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pendingRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { type RequestLog } from "../src/domain/ports.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";

let clone: TestDatabase;
let query: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;
let log: RequestLog;

beforeAll(async () => {
  clone = await cloneDatabase();
  query = open(clone.url("routeplane_usage"));
  aggregator = open(clone.url("routeplane_aggregator"));
  log = createRequestLog(aggregator);
});

afterAll(async () => {
  await Promise.all([query.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

describe("row-level security", () => {
  test("shows a query without a filter only the rows of its namespace, and none without a scope", async () => {
    const own = pendingRequest();
    const foreign = pendingRequest();
    await log.record(deduplicate([own, foreign]));
    const select = (namespaceId?: string) =>
      query.within(namespaceId === undefined ? {} : { namespaceId }, (tx) =>
        tx.selectFrom("requests").select("namespace_id").distinct().execute(),
      );
    expect(await select(own.namespaceId)).toEqual([{ namespace_id: own.namespaceId }]);
    expect(await select()).toEqual([]);
    expect(await select("")).toEqual([]);
  });

  test("only a transaction of the whole node can list the namespaces that have requests", async () => {
    const { namespaceId, createdAt } = pendingRequest();
    await log.record([pendingRequest({ namespaceId, createdAt })]);
    const next = (scope: { node?: true; namespaceId?: string }, from = createdAt) =>
      query.within(scope, async (tx) => {
        const before = namespaceId.slice(0, -1);
        const to = new Date(from.getTime() + 1);
        const { rows } = await sql<{ next: string | null }>`
          select next_request_namespace(${before}, ${from}, ${to}) as next`.execute(tx);
        return rows[0]?.next;
      });
    expect(await next({ node: true })).toBe(namespaceId);
    expect(await next({ node: true }, new Date(createdAt.getTime() + 1))).not.toBe(namespaceId);
    expect([await next({}), await next({ namespaceId })]).toEqual([null, null]);
  });

  test("neither role can read a partition by its name", async () => {
    const partitions = await asAdmin<{ name: string }>(
      sql`select inhrelid::regclass::text as name from pg_inherits where inhparent = 'usage.requests'::regclass`,
    );
    expect(partitions.length).toBeGreaterThan(4);
    for (const { name } of partitions) {
      for (const database of [query, aggregator]) {
        const direct = database.within({}, (tx) => sql`select from ${sql.table(name)}`.execute(tx));
        await expect(direct).rejects.toThrow(`permission denied for table ${name}`);
      }
    }
  });

  test("is forced on every table and partition, and neither role owns a table or can bypass it", async () => {
    const open = await asAdmin(
      sql`select oid::regclass::text from pg_class where relnamespace = 'usage'::regnamespace and relkind in ('r', 'p')
          and relname not like 'kysely%' and not (relrowsecurity and relforcerowsecurity)`,
    );
    expect(open).toEqual([]);
    const strong = await asAdmin(
      sql`select rolname from pg_roles where rolname in ('routeplane_usage', 'routeplane_aggregator')
          and (rolsuper or rolbypassrls or exists (select from pg_class where relowner = pg_roles.oid))`,
    );
    expect(strong).toEqual([]);
  });

  test.each<[RoleName, string]>([
    ["routeplane_usage", "insert into requests default values"],
    ["routeplane_usage", "update requests set cost_nano_usd = 0"],
    ["routeplane_usage", "delete from requests"],
    ["routeplane_usage", "select ensure_request_partitions(1)"],
    ["routeplane_usage", "select drop_request_partitions(400)"],
    ["routeplane_usage", "update retention set kept_from = now()"],
    ["routeplane_aggregator", "update retention set kept_from = now()"],
    ["routeplane_aggregator", "select next_request_namespace('', now(), now())"],
    ["routeplane_aggregator", "delete from requests"],
    ["routeplane_aggregator", "update requests set namespace_id = 'ns_other'"],
    ["routeplane_aggregator", "truncate requests"],
    ["routeplane_aggregator", "create table usage.mine ()"],
  ])("%s is not permitted: %s", async (role, statement) => {
    const database = role === "routeplane_usage" ? query : aggregator;
    const attempt = database.within({}, (tx) => sql.raw(statement).execute(tx));
    await expect(attempt).rejects.toThrow(/permission denied/);
  });
});

async function asAdmin<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  const admin = open(clone.adminUrlOf("usage"));
  try {
    return (await admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
  } finally {
    await admin.stop();
  }
}
