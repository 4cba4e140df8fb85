import { newId } from "@routeplane/domain";
import { type Database, openDatabase, type RoleName } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageRequest, rowsIn, totalsIn } from "./queries.ts";
import { pendingRequest, requestIds, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { type RequestLog, UnstorableError, type UsageStore } from "../src/domain/ports.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";

let clone: TestDatabase;
let query: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;
let log: RequestLog;
let usage: UsageStore;

beforeAll(async () => {
  clone = await cloneDatabase();
  query = open(clone.url("routeplane_usage"));
  aggregator = open(clone.url("routeplane_aggregator"));
  log = createRequestLog(aggregator);
  usage = createUsageStore(query);
});

afterAll(async () => {
  await Promise.all([query.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

describe("recording", () => {
  test("a row holds what the event said, to the nano-USD and the millisecond", async () => {
    const pending = pendingRequest({ streamed: true, reservedNanoUsd: 999_999_999_999_999n });
    await log.record([pending]);
    expect(await rowsIn(query, pending.namespaceId)).toEqual([pending]);
    const settled = settledRequest(pending, {
      deniedByBindingId: "bnd_x",
      deniedRule: "rate_limit.max_tokens",
      shadowDenials: [
        { policyId: "pol_y", bindingId: "bnd_y", rule: "budget" },
        { policyId: "pol_z", bindingId: "bnd_z", rule: 'a "quoted", {braced} rule' },
      ],
      status: "failed",
      costNanoUsd: 999_999_999_999_000n,
      estimated: true,
      httpStatus: 502,
      errorCode: "upstream_error",
      reservedNanoUsd: 999_999_999_999_999n,
    });
    await log.record([settled]);
    expect(await rowsIn(query, pending.namespaceId)).toEqual([settled]);
  });

  test("any order, repetition and batching of the events gives the same rows", async () => {
    const shape = fc.record({
      outcomes: fc.array(fc.constantFrom("succeeded", "failed", "cancelled", "pending"), {
        minLength: 1,
        maxLength: 6,
      }),
      order: fc.infiniteStream(fc.nat()),
      repetitions: fc.integer({ min: 1, max: 3 }),
      cut: fc.integer({ min: 1, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ outcomes, order, repetitions, cut }) => {
        const namespaceId = newId("ns");
        const final = outcomes.map((status, index) => {
          const pending = pendingRequest({ namespaceId });
          return status === "pending"
            ? pending
            : settledRequest(pending, { status, costNanoUsd: BigInt(index + 1) * 1_000n });
        });
        const admitted = final.map(({ id, keyId }) => pendingRequest({ namespaceId, id, keyId }));
        const events = Array.from({ length: repetitions }, () => [...admitted, ...final]).flat();
        const shuffled = events
          .map((event) => ({ event, place: order.next().value ?? 0 }))
          .toSorted((left, right) => left.place - right.place)
          .map(({ event }) => event);
        for (let at = 0; at < shuffled.length; at += cut) await log.record(deduplicate(shuffled.slice(at, at + cut)));
        const rows = await rowsIn(query, namespaceId);
        expect(rows.toReversed()).toEqual(final.toSorted((left, right) => (left.id < right.id ? -1 : 1)));
      }),
      { numRuns: 60 },
    );
  });

  test.each<[string, Partial<LoggedRequest>, Partial<LoggedRequest>]>([
    ["what was reported over an estimate", { costNanoUsd: 1_000n }, { costNanoUsd: 9_000n, estimated: true }],
    ["the dearer of two", { costNanoUsd: 9_000_000n, status: "failed" }, {}],
    ["the later of two that cost the same", { completedAt: new Date("2026-12-01T00:00:00Z") }, {}],
    ["one of two that differ in their outcome alone", { status: "succeeded" }, { status: "failed" }],
  ])("of two settlements that differ keeps %s, in either order", async (_, better, worse) => {
    for (const order of [[better, worse] as const, [worse, better] as const]) {
      const pending = pendingRequest();
      for (const given of order) await log.record([settledRequest(pending, given)]);
      await log.record([pending]);
      expect(await rowsIn(query, pending.namespaceId)).toEqual([settledRequest(pending, better)]);
    }
  });

  test("two namespaces that use one request id have a row each", async () => {
    const one = pendingRequest();
    const two = pendingRequest({ id: one.id });
    await log.record(deduplicate([one, two]));
    expect(await rowsIn(query, one.namespaceId)).toEqual([one]);
    expect(await rowsIn(query, two.namespaceId)).toEqual([two]);
  });

  test("writers of the same rows in different order finish, all of them, without a deadlock", async () => {
    const namespaceId = newId("ns");
    const requests = requestIds(200).map((id) => pendingRequest({ namespaceId, id }));
    const settled = requests.map((request) => settledRequest(request));
    const writers = Array.from({ length: 8 }, (_, index) =>
      log.record(deduplicate(index % 2 === 0 ? requests : settled.toReversed())),
    );
    await Promise.all(writers);
    await log.record(deduplicate(settled));
    const { requestCount, costNanoUsd } = await totalsIn(usage, namespaceId);
    expect({ requestCount, costNanoUsd }).toEqual({ requestCount: 200n, costNanoUsd: 200n * 1_234_000n });
  });

  test("a batch is all or nothing, and a value that can never be stored is told from an outage", async () => {
    const good = pendingRequest();
    const bad = pendingRequest({ namespaceId: good.namespaceId, costNanoUsd: -1n });
    await expect(log.record(deduplicate([good, bad]))).rejects.toBeInstanceOf(UnstorableError);
    expect(await rowsIn(query, good.namespaceId)).toEqual([]);
    const elsewhere = open("postgres://routeplane_aggregator:pw@127.0.0.1:1/nowhere");
    const outage = createRequestLog(elsewhere).record([good]);
    await expect(outage).rejects.toMatchObject({ code: "unavailable", metadata: { dependency: "postgres" } });
    await elsewhere.stop();
  });

  test("a request of any month finds a place, and the months ahead have partitions of their own", async () => {
    expect(await log.createPartitions()).toEqual([]);
    const namespaceId = newId("ns");
    const times = ["2001-05-06T07:08:09Z", "2099-01-01T00:00:00Z", new Date().toISOString()];
    await log.record(deduplicate(times.map((time) => pendingRequest({ namespaceId, createdAt: new Date(time) }))));
    const homes = await asAdmin<{ home: string }>(
      sql`select tableoid::regclass::text as home from usage.requests where namespace_id = ${namespaceId} order by created_at`,
    );
    const month = new Date().toISOString().slice(0, 7).replace("-", "m");
    expect(homes.map(({ home }) => home)).toEqual(["requests_default", `requests_y${month}`, "requests_default"]);
  });
});

describe("retention", () => {
  test("months that are over for so many days leave, the sums of them stay, and so does everything else", async () => {
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
      ...(over400(month(13)) ? [name(month(14))] : []),
    ]);
    expect(await log.dropExpiredPartitions(400)).toEqual([]);
    const { rows } = await usage.list(namespaceId, pageRequest());
    expect(rows.map(({ createdAt }) => createdAt)).toEqual([month(0), month(3)]);
    expect((await totalsIn(usage, namespaceId)).requestCount).toBe(3n);
    await expect(log.dropExpiredPartitions(29)).rejects.toThrow("at least 30 days are kept");
  });

  test("holds for rows whose month has no partition of its own: they leave with their month, and nothing younger does", async () => {
    const now = new Date();
    const month = (monthsAgo: number, ms = 0) =>
      new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - monthsAgo, 1) + ms);
    const namespaceId = newId("ns");
    // The month that 401 days ago lies in is the oldest that is kept.
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
    // Of a longer time it is known no more what was dropped.
    await log.dropExpiredPartitions(4_000);
    expect(await asAdmin(sql`select kept_from from usage.retention`)).toEqual([{ kept_from: kept }]);
  });

  /** Whether a month that ended then is over for more than 400 days, and the day for clocks that differ. */
  const over400 = (end: Date) => Date.now() - end.getTime() >= 401 * 86_400_000;
});

describe("row-level security", () => {
  test("a query without a filter sees the rows of its own namespace, and without a setting none", async () => {
    const mine = pendingRequest();
    const foreign = pendingRequest();
    await log.record(deduplicate([mine, foreign]));
    const select = (namespaceId?: string) =>
      query.within(namespaceId === undefined ? {} : { namespaceId }, (tx) =>
        tx.selectFrom("requests").select("namespace_id").distinct().execute(),
      );
    expect(await select(mine.namespaceId)).toEqual([{ namespace_id: mine.namespaceId }]);
    expect(await select()).toEqual([]);
    expect(await select("")).toEqual([]);
  });

  test("which namespaces have requests can be asked in a transaction of the whole node alone", async () => {
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

  test("a partition that is named directly is refused, to reader and writer", async () => {
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

  test("it is forced on every table and partition, and neither role owns anything or may pass it by", async () => {
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
  ])("%s may not: %s", async (role, statement) => {
    const database = role === "routeplane_usage" ? query : aggregator;
    const attempt = database.within({}, (tx) => sql.raw(statement).execute(tx));
    await expect(attempt).rejects.toThrow(/permission denied/);
  });
});

async function asAdmin<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  const admin = open(clone.adminUrl);
  try {
    return (await admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
  } finally {
    await admin.stop();
  }
}
