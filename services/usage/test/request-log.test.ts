import { newId } from "@routeplane/domain";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rowsIn, totalsIn } from "./queries.ts";
import { pendingRequest, requestIds, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { UnstorableError } from "../src/domain/ports.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import { openUsageDatabase, startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let clone: UsageDatabase["clone"];
let query: UsageDatabase["query"];
let log: UsageDatabase["log"];
let usage: UsageDatabase["usage"];

beforeAll(async () => {
  database = await startUsageDatabase();
  ({ clone, query, log, usage } = database);
});

afterAll(() => database.stop());

describe("recording", () => {
  test("a row has the values of its event, to the nano-USD and the millisecond", async () => {
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
      receipt: {
        ...pending.receipt,
        deniedAmounts: {
          limit: 2n ** 63n - 1n,
          remaining: 0n,
          needed: 1n,
          retryAt: new Date("2026-11-21T10:00:00.001Z"),
        },
      },
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
          .map((event) => ({ event, rank: order.next().value ?? 0 }))
          .toSorted((left, right) => left.rank - right.rank)
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

  test("two namespaces with the same request id have a row each", async () => {
    const first = pendingRequest();
    const second = pendingRequest({ id: first.id });
    await log.record(deduplicate([first, second]));
    expect(await rowsIn(query, first.namespaceId)).toEqual([first]);
    expect(await rowsIn(query, second.namespaceId)).toEqual([second]);
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

  test("a batch is written completely or not at all, and an unstorable value is distinguished from an outage", async () => {
    const good = pendingRequest();
    const bad = pendingRequest({ namespaceId: good.namespaceId, costNanoUsd: -1n });
    await expect(log.record(deduplicate([good, bad]))).rejects.toBeInstanceOf(UnstorableError);
    expect(await rowsIn(query, good.namespaceId)).toEqual([]);
    const elsewhere = openUsageDatabase("postgres://routeplane_aggregator:pw@127.0.0.1:1/nowhere");
    const outage = createRequestLog(elsewhere).record([good]);
    await expect(outage).rejects.toMatchObject({ code: "unavailable", metadata: { dependency: "postgres" } });
    await elsewhere.stop();
  });

  test("a request of any month has a partition, and the next months have partitions of their own", async () => {
    const created = await log.createPartitions(undefined);
    expect(created.filter((name) => name.startsWith("requests"))).toEqual([]);
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

async function asAdmin<Row>(statement: ReturnType<typeof sql>): Promise<readonly Row[]> {
  const admin = openUsageDatabase(clone.adminUrlOf("usage"));
  try {
    return (await admin.within({}, (tx) => statement.execute(tx))).rows as Row[];
  } finally {
    await admin.stop();
  }
}
