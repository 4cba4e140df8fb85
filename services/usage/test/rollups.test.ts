import { type Id, MAX_REQUEST_COST_NANO_USD, newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as rollups from "../migrations/0003_rollups.ts";
import * as totals from "../migrations/0013_totals.ts";
import { allTotalsIn, usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import type { RequestLog, UsageStore } from "../src/domain/ports.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import type { UnloggedDenials } from "../src/domain/unlogged-denials.ts";
import { NO_USAGE, totalOf, type UsageQuery, type UsageRange, type UsageTotals } from "../src/domain/usage.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";
import { createUsageStore } from "../src/store/usage-store.ts";

let clone: TestDatabase;
let admin: Database<UsageSchema>;
let query: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;
let log: RequestLog;
let usage: UsageStore;

beforeAll(async () => {
  clone = await cloneDatabase();
  admin = open(clone.adminUrlOf("usage"));
  query = open(clone.url("routeplane_usage"));
  aggregator = open(clone.url("routeplane_aggregator"));
  log = createRequestLog(aggregator);
  usage = createUsageStore(query);
});

afterAll(async () => {
  await Promise.all([admin.stop(), query.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

/** Opens the database as migrations do. */
function openOwner(of: TestDatabase): Database<unknown> {
  return openDatabase({ url: of.url("routeplane_usage_owner"), schema: "usage", applicationName: "test" });
}

/** Lists the sums that differ from those of their rows. A sum of zeros equals a missing one. */
async function differences(): Promise<readonly unknown[]> {
  const compare = (table: string, unit: string) => sql`
    select * from (
      select namespace_id, date_trunc(${sql.lit(unit)}, created_at, 'UTC') as bucket, key_id, model, provider, status,
        count(*) as request_count, sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
        sum(cost_nano_usd) as cost_nano_usd
      from requests group by 1, 2, 3, 4, 5, 6
    ) as summed
    full join (
      select * from ${sql.table(table)}
      where (request_count, prompt_tokens, completion_tokens, cost_nano_usd) <> (0, 0, 0, 0)
    ) as kept using (namespace_id, bucket, key_id, model, provider, status, request_count, prompt_tokens,
      completion_tokens, cost_nano_usd)
    where summed.namespace_id is null or kept.namespace_id is null`;
  const totals = (minutes: 5 | 1440) => sql`
    select * from (
      select namespace_id, date_bin(${`${minutes} minutes`}::interval, created_at, '2000-01-01Z') as bucket, count(*) as request_count,
        sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens, sum(cost_nano_usd) as cost_nano_usd
      from requests where status <> 'denied' group by 1, 2
    ) as summed
    full join (
      select * from totals
      where minutes = ${minutes} and (request_count, prompt_tokens, completion_tokens, cost_nano_usd) <> (0, 0, 0, 0)
    ) as kept using (namespace_id, bucket, request_count, prompt_tokens, completion_tokens, cost_nano_usd)
    where summed.namespace_id is null or kept.namespace_id is null`;
  return admin.within({}, async (tx) => [
    ...(await totals(5).execute(tx)).rows,
    ...(await totals(1440).execute(tx)).rows,
    ...(await compare("rollups_hourly", "hour").execute(tx)).rows,
    ...(await compare("rollups_daily", "day").execute(tx)).rows,
  ]);
}

const KEYS = [newId("key"), newId("key")];
const START_MS = Date.parse("2026-03-28T22:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const SPAN_MS = 3 * 24 * HOUR_MS;

/** Arbitrary settled request in three days. */
const request = fc
  .record({
    key: fc.constantFrom(...KEYS),
    model: fc.constantFrom("small", "large"),
    provider: fc.constantFrom("one", "two"),
    atMs: fc.oneof(
      fc.nat(SPAN_MS),
      fc.constantFrom(0, 2, 26, 50).map((hours) => hours * 3_600_000),
    ),
    status: fc.constantFrom("succeeded", "failed", "cancelled", "denied", "pending"),
    cost: fc.integer({ min: 0, max: 999 }),
  })
  .map(({ key, model, provider, atMs, status, cost }) => (namespaceId: Id<"ns">): LoggedRequest => {
    const pending = pendingRequest({ namespaceId, keyId: key, model, provider, createdAt: new Date(START_MS + atMs) });
    if (status === "pending") return pending;
    return settledRequest(pending, { status, costNanoUsd: status === "denied" ? 0n : BigInt(cost) * 1_000n });
  });

/** Arbitrary moment, often in the middle of five minutes, of an hour or of a day, where ranges are rounded. */
const moment = fc.oneof(
  fc.nat(SPAN_MS),
  fc.nat(SPAN_MS / 150_000).map((halves) => halves * 150_000),
);
/** Arbitrary range of any length, of seconds too. */
const range = fc
  .oneof(
    fc.tuple(moment, moment),
    fc.tuple(moment, fc.nat(600_000)).map(([from, length]) => [from, from + length]),
  )
  .map(([one = 0, two = 0]): UsageRange => ({
    from: new Date(START_MS + Math.min(one, two)),
    to: new Date(START_MS + Math.max(one, two) + 1),
  }));

const COUNTERS = ["request_count", "prompt_tokens", "completion_tokens", "cost_nano_usd"] as const;
/** Columns that the migration which fills rollups knows. */
const COLUMNS = ["namespace_id", "bucket", "key_id", "model", "provider", "status", ...COUNTERS] as const;

function admitted({ namespaceId, id, keyId, createdAt, ...answered }: LoggedRequest): LoggedRequest {
  const { model, provider } = answered.status === "pending" ? answered : { model: "small", provider: "one" };
  return pendingRequest({ namespaceId, id, keyId, model, provider, createdAt });
}

function sumOf(requests: readonly LoggedRequest[], denials: readonly UnloggedDenials[] = []): UsageTotals {
  return totalOf([
    ...requests.map((each) =>
      each.status === "denied"
        ? { ...NO_USAGE, deniedCount: 1n }
        : Object.assign({}, NO_USAGE, each, { requestCount: 1n }),
    ),
    ...denials.map(({ deniedCount }) => ({ ...NO_USAGE, deniedCount, deniedUnloggedCount: deniedCount })),
  ]);
}

/** Arbitrary count of denied requests without a row in three days. */
const denials = fc
  .record({
    key: fc.constantFrom(...KEYS),
    model: fc.constantFrom("small", "large"),
    minute: fc.nat(SPAN_MS / 60_000),
    deniedCount: fc.bigInt({ min: 1n, max: 1_000n }),
  })
  .map(({ key, model, minute, deniedCount }) => (namespaceId: Id<"ns">): UnloggedDenials => {
    const at = { namespaceId, id: newId("den"), minute: new Date(START_MS + minute * 60_000) };
    return { ...at, keyId: key, model, provider: "one", deniedCount };
  });

describe("the sums by time", () => {
  test("equal those of the rows, in any order, repetition and batching of the events", async () => {
    const shape = fc.record({
      requests: fc.array(request, { minLength: 1, maxLength: 25 }),
      counts: fc.array(denials, { maxLength: 10 }),
      ranges: fc.array(range, { minLength: 3, maxLength: 3 }),
      seed: fc.infiniteStream(fc.nat()),
      cut: fc.integer({ min: 1, max: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ requests, counts, ranges, seed, cut }) => {
        const namespaceId = newId("ns");
        const denied = counts.map((make) => make(namespaceId));
        // An event that is delivered again, within a batch and after it, counts once.
        for (const batch of [denied, [...denied, ...denied.slice(0, 3)]]) await log.recordDenials(batch);
        const final = requests.map((make) => make(namespaceId));
        const events = [...final, ...final.map(admitted), ...final]
          .map((event) => ({ event, rank: seed.next().value ?? 0 }))
          .toSorted((left, right) => left.rank - right.rank)
          .map(({ event }) => event);
        for (let at = 0; at < events.length; at += cut) await log.record(deduplicate(events.slice(at, at + cut)));
        for (const each of ranges) {
          const isInside = (time: Date): boolean => time >= each.from && time < each.to;
          const inside = final.filter(({ createdAt }) => isInside(createdAt));
          const unlogged = denied.filter(({ minute }) => isInside(minute));
          expect(await allTotalsIn(usage, namespaceId, each)).toEqual(sumOf(inside, unlogged));
          for (const groupBy of [["key", "model", "hour"], ["status", "day"], ["hour"], ["day"]] as const) {
            const groups = await usage.sumUsage(namespaceId, usageQuery({ range: each, groupBy }));
            expect(totalOf(groups)).toEqual(sumOf(inside, unlogged));
            for (const group of groups) {
              const [since, unitMs] = group.day ? [group.day, 24 * HOUR_MS] : [group.hour ?? new Date(0), HOUR_MS];
              const isOfGroup = (time: Date, { keyId, model }: Pick<LoggedRequest, "keyId" | "model">): boolean =>
                Math.floor((time.getTime() - since.getTime()) / unitMs) === 0 &&
                [keyId, undefined].includes(group.keyId) &&
                [model, undefined].includes(group.model);
              const ofGroup = inside.filter(
                (each) => isOfGroup(each.createdAt, each) && [each.status, undefined].includes(group.status),
              );
              const unloggedOfGroup = unlogged.filter(
                (each) => isOfGroup(each.minute, each) && ["denied", undefined].includes(group.status),
              );
              expect(ofGroup.length + unloggedOfGroup.length).toBeGreaterThan(0);
              expect(group).toMatchObject(sumOf(ofGroup, unloggedOfGroup));
            }
          }
        }
      }),
      { numRuns: 60 },
    );
    expect(await differences()).toEqual([]);
  }, 120_000);

  test("are exact for costs beyond a 64-bit integer, in one batch and in many, and can be lowered again", async () => {
    const namespaceId = newId("ns");
    const costNanoUsd = MAX_REQUEST_COST_NANO_USD;
    const keyId = newId("key");
    const pending = Array.from({ length: 30 }, () => pendingRequest({ namespaceId, keyId }));
    await log.record(deduplicate(pending));
    const dear = pending.map((each) => settledRequest(each, { costNanoUsd, estimated: true }));
    await log.record(deduplicate(dear.slice(0, 20)));
    for (const each of dear.slice(20)) await log.record([each]);
    const costs = async (groupBy: UsageQuery["groupBy"]) =>
      (await usage.sumUsage(namespaceId, usageQuery({ groupBy }))).map((group) => group.costNanoUsd);
    for (const groupBy of [[], ["day"], ["model", "hour"]] as const)
      expect(await costs(groupBy)).toEqual([30n * costNanoUsd]);
    // A later settlement lowers 29 of the charges.
    const exact = pending.slice(1).map((each) => settledRequest(each, { costNanoUsd: 1_000n }));
    await log.record(deduplicate(exact));
    expect(await costs(["model"])).toEqual([costNanoUsd + 29_000n]);
    expect(await differences()).toEqual([]);
  });

  test("are raised and lowered by many writers at once without a deadlock, and equal those of the rows", async () => {
    const namespaceId = newId("ns");
    const models = Array.from({ length: 12 }, (_, index) => `model-${index}`);
    const make = (_: unknown, index: number) =>
      pendingRequest({ namespaceId, keyId: KEYS[0]!, model: models[index % models.length]! });
    const settling = Array.from({ length: 480 }, make);
    const arriving = Array.from({ length: 480 }, make);
    await log.record(deduplicate(settling));
    // Each batch lowers one half of the sums of pending requests and raises the other half; batches alternate the halves.
    const batches = Array.from({ length: 24 }, (_, batch) => [
      ...settling.slice(batch * 20, batch * 20 + 20).filter((each) => models.indexOf(each.model) % 2 === batch % 2),
      ...arriving.slice(batch * 20, batch * 20 + 20).filter((each) => models.indexOf(each.model) % 2 !== batch % 2),
    ]);
    const isSettling = new Set(settling);
    await Promise.all(
      batches.map((batch) =>
        log.record(deduplicate(batch.map((each) => (isSettling.has(each) ? settledRequest(each) : each)))),
      ),
    );
    expect(await differences()).toEqual([]);
  });

  test("are shown by row-level security only to their namespace, and to no transaction without a scope", async () => {
    const own = settledRequest(pendingRequest());
    await log.record([own]);
    await log.recordDenials(fc.sample(denials, 5).map((make) => make(own.namespaceId)));
    const { requestCount, deniedCount } = await allTotalsIn(usage, own.namespaceId);
    expect({ requestCount, isDenied: deniedCount > 0n }).toEqual({ requestCount: 1n, isDenied: true });
    expect(await allTotalsIn(usage, newId("ns"))).toEqual(NO_USAGE);
    const tables = [
      "rollups_hourly",
      "rollups_daily",
      "totals",
      "unlogged_denials",
      "unlogged_denials_hourly",
    ] as const;
    for (const table of tables) {
      const seen = (scope: { namespaceId?: string }) =>
        query.within(scope, (tx) => tx.selectFrom(table).select("namespace_id").distinct().execute());
      expect(await seen({})).toEqual([]);
      expect(await seen({ namespaceId: own.namespaceId })).toEqual([{ namespace_id: own.namespaceId }]);
    }
  });

  test("are filled by the migration from the rows of the release before", async () => {
    const before = await cloneDatabase();
    const superuser = open(before.adminUrlOf("usage"));
    const writer = open(before.url("routeplane_aggregator"));
    const owner = openOwner(before);
    try {
      const namespaceId = newId("ns");
      const requests = fc.sample(request, 200).map((make) => make(namespaceId));
      await createRequestLog(writer).record(deduplicate(requests));
      const kept = () =>
        superuser.within({}, async (tx) => {
          const of = (table: "rollups_hourly" | "rollups_daily") =>
            tx
              .selectFrom(table)
              .select(COLUMNS)
              .orderBy("bucket")
              .orderBy("key_id")
              .orderBy("model")
              .orderBy("provider");
          const [hourly, daily] = [of("rollups_hourly"), of("rollups_daily")];
          return [await hourly.orderBy("status").execute(), await daily.orderBy("status").execute()];
        });
      const maintained = await kept();
      await superuser.within({}, (tx) => sql`drop table rollups_hourly, rollups_daily`.execute(tx));
      await owner.within({}, (tx) => rollups.up(tx));
      expect(maintained[0]?.length).toBeGreaterThan(10);
      expect(await kept()).toEqual(maintained);
    } finally {
      await Promise.all([superuser.stop(), writer.stop(), owner.stop()]);
      await before.drop();
    }
  });

  test("of all requests are filled by the migration from the rows, and from the hours of dropped ones", async () => {
    const before = await cloneDatabase();
    const superuser = open(before.adminUrlOf("usage"));
    const writer = open(before.url("routeplane_aggregator"));
    const owner = openOwner(before);
    try {
      const namespaceId = newId("ns");
      const requests = fc.sample(request, 200).map((make) => make(namespaceId));
      await createRequestLog(writer).record(deduplicate(requests));
      const kept = (bucket: string) =>
        superuser.within({}, async (tx) => {
          const { rows } = await sql`
            select namespace_id, minutes, ${sql.raw(bucket)} as since, sum(request_count) as request_count, sum(prompt_tokens) as prompt_tokens,
              sum(completion_tokens) as completion_tokens, sum(cost_nano_usd) as cost_nano_usd
            from totals group by 1, 2, 3 having sum(request_count) > 0 order by 2, 3`.execute(tx);
          return rows;
        });
      const byHour = "date_trunc('hour', bucket, 'UTC')";
      const [exact, hours] = [await kept("bucket"), await kept(byHour)];
      const again = async () => {
        await superuser.within({}, (tx) => sql`drop table totals`.execute(tx));
        await owner.within({}, (tx) => totals.up(tx));
      };
      await again();
      expect(exact.length).toBeGreaterThan(10);
      expect(await kept("bucket")).toEqual(exact);
      const keptFrom = new Date(START_MS + SPAN_MS / 3);
      await superuser.within({}, async (tx) => {
        await tx.deleteFrom("requests").where("created_at", "<", keptFrom).execute();
        await tx.updateTable("retention").set({ kept_from: keptFrom }).execute();
      });
      await again();
      expect(await kept("bucket")).not.toEqual(exact);
      expect(await kept(byHour)).toEqual(hours);
    } finally {
      await Promise.all([superuser.stop(), writer.stop(), owner.stop()]);
      await before.drop();
    }
  });
});
