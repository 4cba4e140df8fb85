import { type Id, newId } from "@routeplane/domain";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { startUsageDatabase, type UsageDatabase } from "./usage-database.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { localDays } from "../src/domain/local-days.ts";
import { roundDays, type Dimension, type UsageGroup, type UsageRange } from "../src/domain/usage.ts";

let database: UsageDatabase;

beforeAll(async () => {
  database = await startUsageDatabase();
});

afterAll(() => database.stop());

const HOUR_MS = 60 * 60 * 1000;
const SPAN_MS = 72 * HOUR_MS;
const KEYS = [newId("key"), newId("key")];
const ZONES = [
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kolkata",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Auckland",
  "UTC",
];

/** Arbitrary request, or denied requests without a row, after a start. Often at the hours and half-hours at which days begin. */
const arrival = fc.record({
  key: fc.constantFrom(...KEYS),
  atMs: fc.oneof(
    fc.nat(SPAN_MS),
    fc.nat(SPAN_MS / 900_000).map((quarters) => quarters * 900_000),
  ),
  status: fc.constantFrom("succeeded", "failed", "denied", "unlogged"),
  cost: fc.integer({ min: 0, max: 999 }),
});

const shape = fc.record({
  // Around clock changes of the time zones, and far from any.
  start: fc
    .constantFrom("2026-03-28T06", "2026-04-03T06", "2026-10-24T06", "2026-10-31T06", "2026-06-01T00")
    .map((hour) => Date.parse(`${hour}:00:00Z`)),
  arrivals: fc.array(arrival, { minLength: 1, maxLength: 60 }),
  timeZone: fc.constantFrom(...ZONES),
  ends: fc.tuple(fc.nat(SPAN_MS), fc.nat(SPAN_MS)),
});

type Arrival = typeof arrival extends fc.Arbitrary<infer Value> ? Value : never;
type Row = Arrival & { readonly at: Date };

/** Records arrivals, of which denied requests without a row belong to a minute. */
async function record(namespaceId: Id<"ns">, start: number, arrivals: readonly Arrival[]): Promise<readonly Row[]> {
  const rows = arrivals.map((each) => {
    const at = start + each.atMs;
    return { ...each, at: new Date(each.status === "unlogged" ? Math.floor(at / 60_000) * 60_000 : at) };
  });
  const requests = rows.flatMap(({ key, at, status, cost }) => {
    if (status === "unlogged") return [];
    const pending = pendingRequest({ namespaceId, keyId: key, createdAt: at });
    return [settledRequest(pending, { status, costNanoUsd: status === "denied" ? 0n : BigInt(cost) * 1_000n })];
  });
  await database.log.record(deduplicate(requests));
  const denials = rows.flatMap(({ key, at, status }) =>
    status === "unlogged"
      ? [{ namespaceId, id: newId("den"), minute: at, keyId: key, model: "echo", provider: "echo", deniedCount: 7n }]
      : [],
  );
  await database.log.recordDenials(denials);
  return rows;
}

/** Sums of rows by their local date, as `Intl` shows it, and by other dimensions, without the code under test. */
function plainSums(rows: readonly Row[], timeZone: string, groupBy: readonly Dimension[]): Record<string, unknown> {
  const dates = new Intl.DateTimeFormat("en-CA", { timeZone });
  const sums: Record<string, { requests: number; denied: number; cost: number }> = {};
  for (const { at, key, status, cost } of rows) {
    const isDenied = status === "denied" || status === "unlogged";
    const of: Partial<Record<Dimension, string>> = {
      day: dates.format(at),
      key,
      status: isDenied ? "denied" : status,
      hour: at.toISOString().slice(0, 13),
    };
    const sum = (sums[groupBy.map((name) => of[name]).join(" ")] ??= { requests: 0, denied: 0, cost: 0 });
    if (isDenied) sum.denied += status === "unlogged" ? 7 : 1;
    else Object.assign(sum, { requests: sum.requests + 1, cost: sum.cost + cost });
  }
  return sums;
}

function sumsOf(groups: readonly UsageGroup[], timeZone: string, groupBy: readonly Dimension[]) {
  const dates = new Intl.DateTimeFormat("en-CA", { timeZone });
  return Object.fromEntries(
    groups.map(({ day, hour, keyId, status, requestCount, deniedCount, costNanoUsd }) => {
      const of: Partial<Record<Dimension, string>> = {
        ...(day && { day: dates.format(day) }),
        ...(keyId && { key: keyId }),
        ...(status && { status }),
        ...(hour && { hour: hour.toISOString().slice(0, 13) }),
      };
      const sums = { requests: Number(requestCount), denied: Number(deniedCount), cost: Number(costNanoUsd) / 1_000 };
      return [groupBy.map((name) => of[name]).join(" "), sums];
    }),
  );
}

describe("usage by the days of a time zone", () => {
  test("equals the plain sums of the rows, in any zone, range and grouping, and across clock changes", async () => {
    await fc.assert(
      fc.asyncProperty(shape, async ({ start, arrivals, timeZone, ends }) => {
        const namespaceId = newId("ns");
        const rows = await record(namespaceId, start, arrivals);
        const [from, to] = [start + Math.min(...ends), start + Math.max(...ends) + 1];
        const range: UsageRange = { from: new Date(from), to: new Date(to) };
        const inside = rows.filter(({ at }) => at >= range.from && at < range.to);
        for (const groupBy of [["day"], ["key", "day"], ["status", "day", "hour"]] as const) {
          const query = usageQuery({ range, groupBy, days: localDays(range, timeZone) });
          const groups = await database.usage.sumUsage(namespaceId, query);
          expect(sumsOf(groups, timeZone, groupBy)).toEqual(plainSums(inside, timeZone, groupBy));
        }
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  test("of the node begins with the nearest hour, and reports that start", async () => {
    const namespaceId = newId("ns");
    const start = Date.parse("2027-05-01T00:00:00Z");
    const at = (minutes: number): Arrival => ({
      key: KEYS[0] ?? newId("key"),
      atMs: minutes * 60_000,
      status: "succeeded",
      cost: 1,
    });
    // Days of Asia/Kolkata begin at 18:30, which is rounded to 19:00 here.
    await record(namespaceId, start, [at(18 * 60 + 15), at(18 * 60 + 45), at(19 * 60), at(20 * 60)]);
    const range = { from: new Date(start), to: new Date(start + 24 * HOUR_MS) };
    const days = roundDays(localDays(range, "Asia/Kolkata") ?? [], "hour");
    for (const groupBy of [["day"], ["day", "key"]] as const) {
      const groups = await database.usage.sumNodeUsage(usageQuery({ range, groupBy, days }));
      expect(groups.map(({ day, requestCount }) => [day?.toISOString(), requestCount])).toEqual([
        ["2027-04-30T19:00:00.000Z", 2n],
        ["2027-05-01T19:00:00.000Z", 2n],
      ]);
    }
  });
});
