import { type Id, newId } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { openUsageDatabase, startUsageDatabase, type UsageDatabase } from "./usage-database.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { localDays } from "../src/domain/local-days.ts";
import {
  type Dimension,
  type Measure,
  TIME_DIMENSIONS,
  totalOf,
  type UsageGroup,
  type UsageTotals,
} from "../src/domain/usage.ts";
import type { UsageSchema } from "../src/store/schema.ts";

let database: UsageDatabase;
let admin: Database<UsageSchema>;

beforeAll(async () => {
  database = await startUsageDatabase();
  admin = openUsageDatabase(database.clone.adminUrlOf("usage"));
});

afterAll(async () => {
  await admin.stop();
  await database.stop();
});

const START_MS = Date.parse("2026-06-01T00:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const SPAN_MS = 30 * HOUR_MS;
const KEYS = Array.from({ length: 6 }, () => newId("key"));

/**
 * Arbitrary request, often of the hour within which a day of India begins; a request that was denied early has no model. Small amounts make
 * ties, large ones are beyond exact floats.
 */
const arrival = fc.record({
  keyId: fc.constantFrom(...KEYS),
  atMs: fc.oneof(fc.nat(SPAN_MS - 1), fc.integer({ min: 18 * HOUR_MS, max: 19 * HOUR_MS })),
  model: fc.constantFrom("", "small", "large"),
  status: fc.constantFrom("succeeded", "failed", "denied"),
  cost: fc.oneof(fc.nat(3), fc.constant(2 ** 53 - 1)),
  tokens: fc.nat(3),
});
type Arrival = typeof arrival extends fc.Arbitrary<infer Value> ? Value : never;

const query = fc.record({
  groupBy: fc.subarray(["key", "model", "provider", "status", "hour", "day"] as const).filter(hasValues),
  count: fc.integer({ min: 1, max: 6 }),
  by: fc.constantFrom<Measure>("spend", "requests", "tokens", "denied"),
  ends: fc.tuple(fc.nat(SPAN_MS), fc.nat(SPAN_MS)),
  filter: fc.constantFrom({}, { keyId: KEYS[0] }, { model: "small" }),
  timeZone: fc.constantFrom("", "Asia/Kolkata", "America/New_York"),
});

function hasValues(groupBy: readonly Dimension[]): boolean {
  return groupBy.some((name) => !TIME_DIMENSIONS.includes(name));
}

async function record(namespaceId: Id<"ns">, arrivals: readonly Arrival[]): Promise<void> {
  const requests = arrivals.map(({ keyId, atMs, model, status, cost, tokens }) => {
    const createdAt = new Date(START_MS + atMs);
    const isDenied = status === "denied";
    return settledRequest(
      pendingRequest({ namespaceId, keyId, model: isDenied ? model : model || "small", createdAt }),
      {
        status,
        costNanoUsd: isDenied ? 0n : BigInt(cost) * 1_000n,
        promptTokens: isDenied ? 0n : BigInt(tokens),
        completionTokens: 0n,
      },
    );
  });
  await database.log.record(deduplicate(requests));
}

const AMOUNTS: Readonly<Record<Measure, (totals: UsageTotals) => bigint>> = {
  spend: ({ costNanoUsd }) => costNanoUsd,
  requests: ({ requestCount }) => requestCount,
  tokens: ({ promptTokens, completionTokens }) => promptTokens + completionTokens,
  denied: ({ deniedCount }) => deniedCount,
};

/** Text of the dimensions other than time. */
const valueOf = ({ namespaceId, keyId, model, provider, status }: UsageGroup): string =>
  JSON.stringify([namespaceId, keyId, model, provider, status]);
const timeOf = ({ hour, day }: UsageGroup): string => JSON.stringify([hour, day]);

describe("the largest values", () => {
  test("have the same groups as without the bound, are the largest, and the rest sums all others", async () => {
    const seen = { rests: 0, wholes: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(arrival, { minLength: 10, maxLength: 80 }),
        fc.array(query, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (arrivals, queries, areExpired) => {
          const namespaceId = newId("ns");
          await record(namespaceId, arrivals);
          // Sums of dropped requests are exact only by the hour.
          if (areExpired) {
            await admin.within({}, (tx) => sql`delete from requests where namespace_id = ${namespaceId}`.execute(tx));
          }
          for (const { groupBy, count, by, ends, filter, timeZone } of queries) {
            const [from, to] = [Math.min(...ends), Math.max(...ends) + 1].map((ms) => new Date(START_MS + ms));
            if (from === undefined || to === undefined) continue;
            const asked = { range: { from, to }, groupBy, ...filter, days: localDays({ from, to }, timeZone) };
            const all = await database.usage.sumUsage(namespaceId, usageQuery(asked));
            const groups = await database.usage.sumUsage(namespaceId, usageQuery({ ...asked, largest: { count, by } }));

            const own = groups.filter(({ restCount }) => restCount === 0n);
            const largest = new Set(own.map(valueOf));
            const isOther = (group: UsageGroup): boolean => !largest.has(valueOf(group));
            const byText = (left: UsageGroup, right: UsageGroup): number =>
              `${timeOf(left)} ${valueOf(left)}` < `${timeOf(right)} ${valueOf(right)}` ? -1 : 1;
            expect(own.toSorted(byText)).toEqual(all.filter((group) => !isOther(group)).toSorted(byText));

            const amounts = Map.groupBy(all, valueOf);
            const amountOf = (value: string): bigint => AMOUNTS[by](totalOf(amounts.get(value) ?? []));
            expect(largest.size).toBe(Math.min(count, amounts.size));
            const others = [...amounts.keys()].filter((value) => !largest.has(value));
            for (const value of largest) {
              for (const other of others) expect(amountOf(value)).toBeGreaterThanOrEqual(amountOf(other));
            }

            const rest = groups.filter(({ restCount }) => restCount !== 0n);
            const expected = Map.groupBy(all.filter(isOther), timeOf);
            expect(Object.fromEntries(rest.map((group) => [timeOf(group), totalOf([group])]))).toEqual(
              Object.fromEntries([...expected].map(([time, parts]) => [time, totalOf(parts)])),
            );
            expect(rest).toHaveLength(expected.size);
            for (const { restCount, keyId, model, provider, status } of rest) {
              expect(restCount).toBe(BigInt(others.length));
              expect([keyId, model, provider, status].every((name) => name === undefined)).toBe(true);
            }
            seen[rest.length > 0 ? "rests" : "wholes"]++;
          }
        },
      ),
      { numRuns: 60 },
    );
    expect(seen.rests).toBeGreaterThan(0);
    expect(seen.wholes).toBeGreaterThan(0);
  });

  test("are in order of time, then of cost, with the rest last, and the rest has latencies", async () => {
    const namespaceId = newId("ns");
    const settled = (hour: number, model: string, costNanoUsd: bigint) =>
      settledRequest(pendingRequest({ namespaceId, model, createdAt: new Date(Date.UTC(2026, 10, 1, hour, 30)) }), {
        costNanoUsd,
      });
    await database.log.record(
      deduplicate([
        settled(8, "a", 9_000n),
        settled(8, "b", 7_000n),
        settled(8, "c", 7_000n),
        settled(9, "b", 1_000n),
        settled(9, "c", 3_000n),
        settled(9, "d", 4_000n),
      ]),
    );
    const asked = usageQuery({ groupBy: ["hour", "model"], withLatencies: true, largest: { count: 2, by: "spend" } });
    const groups = await database.usage.sumUsage(namespaceId, asked);
    const shown = groups.map(({ hour, model, costNanoUsd, restCount, latencies }) => {
      const counted = [...latencies.total.values()].reduce((sum, count) => sum + count, 0);
      return [hour?.getUTCHours(), model, Number(costNanoUsd), Number(restCount), counted];
    });
    expect(shown).toEqual([
      [8, "a", 9_000, 0, 1],
      [8, "c", 7_000, 0, 1],
      [8, undefined, 7_000, 2, 1],
      [9, "c", 3_000, 0, 1],
      [9, undefined, 5_000, 2, 2],
    ]);
  });

  test("of the node are combinations with a namespace", async () => {
    const [one, other] = [newId("ns"), newId("ns")];
    const model = newId("req");
    const at = new Date("2031-01-01T10:00:00Z");
    for (const [namespaceId, count] of [
      [one, 3],
      [other, 2],
    ] as const) {
      const requests = Array.from({ length: count }, () =>
        settledRequest(pendingRequest({ namespaceId, model, createdAt: at })),
      );
      await database.log.record(deduplicate(requests));
    }
    const range = { from: new Date("2031-01-01T00:00:00Z"), to: new Date("2031-01-02T00:00:00Z") };
    const asked = usageQuery({ range, groupBy: ["namespace", "model"], largest: { count: 1, by: "requests" } });
    expect(await database.usage.sumNodeUsage(asked)).toMatchObject([
      { namespaceId: one, model, requestCount: 3n, restCount: 0n },
      { namespaceId: undefined, model: undefined, requestCount: 2n, restCount: 1n },
    ]);
  });
});
