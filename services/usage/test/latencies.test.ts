import { type Id, newId } from "@routeplane/domain";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { startUsageDatabase, type UsageDatabase } from "./usage-database.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { firstTokenCellOf, type LatencyHistogram, NO_LATENCIES, totalCellOf } from "../src/domain/latency.ts";
import { localDays } from "../src/domain/local-days.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import type { UsageQuery } from "../src/domain/usage.ts";

let database: UsageDatabase;

beforeAll(async () => {
  database = await startUsageDatabase();
});

afterAll(() => database.stop());

const START_MS = Date.parse("2026-06-01T00:00:00Z");
const HOUR_MS = 60 * 60 * 1000;
const SPAN_MS = 48 * HOUR_MS;

/** Arbitrary request of two days, with the model and the latency of a first settlement and of the final one. */
const request = fc.record({
  atMs: fc.nat(SPAN_MS - 1),
  models: fc.tuple(fc.constantFrom("small", "large"), fc.constantFrom("small", "large")),
  latenciesMs: fc.tuple(fc.nat(5_000), fc.nat(5_000)),
  status: fc.constantFrom("succeeded", "failed", "cancelled", "denied", "pending"),
});
type Sample = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

/** Observations of a request: admitted, settled by an estimate, and settled. */
function observationsOf(
  namespaceId: Id<"ns">,
  { atMs, models, latenciesMs, status }: Sample,
): readonly LoggedRequest[] {
  const createdAt = new Date(START_MS + atMs);
  const pending = pendingRequest({ namespaceId, model: models[0], createdAt });
  if (status === "pending") return [pending];
  const settled = [0, 1].map((index) => {
    const ms = latenciesMs[index] ?? 0;
    const receipt = { ...pending.receipt, timeToFirstTokenMs: ms % 3 === 0 ? undefined : Math.floor(ms / 3) };
    const ended = { model: models[index] ?? "small", completedAt: new Date(createdAt.getTime() + ms), receipt };
    return settledRequest(pending, { ...ended, status, estimated: index === 0 });
  });
  return [pending, ...settled];
}

async function latenciesIn(namespaceId: Id<"ns">, query: Partial<UsageQuery>) {
  const groups = await database.usage.sumUsage(namespaceId, usageQuery({ withLatencies: true, ...query }));
  return groups.flatMap(({ model = "", day, latencies: { total, firstToken } }) => {
    const counts = [countsOf(total), countsOf(firstToken)];
    return Object.keys(counts[0] ?? {}).length === 0 ? [] : [[`${model} ${day?.toISOString() ?? ""}`, counts]];
  });
}

/** Counts that are not 0, keyed by cell. */
function countsOf(histogram: LatencyHistogram): Record<string, number> {
  return Object.fromEntries([...histogram.entries()].filter(([, count]) => count !== 0));
}

/** The same, computed from the requests one by one. */
function plainLatencies(requests: readonly LoggedRequest[], nameOf: (request: LoggedRequest) => string) {
  const groups = Map.groupBy(
    requests.filter((each) => totalCellOf(each) !== undefined),
    nameOf,
  );
  const count = (cells: readonly (number | undefined)[]): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const cell of cells) if (cell !== undefined) counts[cell] = (counts[cell] ?? 0) + 1;
    return counts;
  };
  return [...groups].map(([name, of]) => [name, [count(of.map(totalCellOf)), count(of.map(firstTokenCellOf))]]);
}

describe("latencies", () => {
  test("equal those of the rows, in any order, repetition and batching of the events, range and grouping", async () => {
    const shape = fc.record({
      samples: fc.array(request, { minLength: 1, maxLength: 25 }),
      seed: fc.infiniteStream(fc.nat()),
      cut: fc.integer({ min: 1, max: 12 }),
      ends: fc.tuple(fc.nat(SPAN_MS), fc.nat(SPAN_MS)),
      timeZone: fc.constantFrom("UTC", "Europe/Berlin", "Asia/Kathmandu"),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ samples, seed, cut, ends, timeZone }) => {
        const namespaceId = newId("ns");
        const observations = samples.map((sample) => observationsOf(namespaceId, sample));
        const events = [...observations.flat(), ...observations.flat()]
          .map((event) => ({ event, rank: seed.next().value ?? 0 }))
          .toSorted((left, right) => left.rank - right.rank)
          .map(({ event }) => event);
        for (let at = 0; at < events.length; at += cut) {
          await database.log.record(deduplicate(events.slice(at, at + cut)));
        }
        const [from, to] = [START_MS + Math.min(...ends), START_MS + Math.max(...ends) + 1];
        const range = { from: new Date(from), to: new Date(to) };
        const inside = observations
          .flatMap((each) => each.at(-1) ?? [])
          .filter(({ createdAt }) => createdAt >= range.from && createdAt < range.to);
        const days = localDays(range, timeZone);
        const dayOf = ({ createdAt }: LoggedRequest): string => {
          const starts = days ?? [0, 1, 2].map((index) => new Date(START_MS + index * 24 * HOUR_MS));
          return starts.findLast((start) => start <= createdAt)?.toISOString() ?? "";
        };
        expect(await latenciesIn(namespaceId, { range })).toEqual(plainLatencies(inside, () => " "));
        const byModelAndDay = await latenciesIn(namespaceId, { range, groupBy: ["model", "day"], days });
        const plain = plainLatencies(inside, (each) => `${each.model} ${dayOf(each)}`);
        expect(Object.fromEntries(byModelAndDay)).toEqual(Object.fromEntries(plain));
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  test("are read only if requested, and never for a key or a status", async () => {
    const settled = settledRequest(pendingRequest());
    const { namespaceId, keyId, provider, model } = settled;
    await database.log.record([settled]);
    const countOf = async (query: Partial<UsageQuery>) => (await latenciesIn(namespaceId, query)).length;
    expect(await countOf({ provider, model })).toBe(1);
    expect(await countOf({ provider: "other" })).toBe(0);
    for (const query of [{ withLatencies: false }, { keyId }, { groupBy: ["key"] }, { groupBy: ["status"] }] as const) {
      const groups = await database.usage.sumUsage(namespaceId, usageQuery({ withLatencies: true, ...query }));
      expect(groups).toMatchObject([{ requestCount: 1n, latencies: NO_LATENCIES }]);
    }
  });

  test("do not count a row of an earlier release until it is settled again", async () => {
    const settled = settledRequest(pendingRequest(), { estimated: true });
    const { namespaceId } = settled;
    await database.log.record([settled]);
    // As a release without histograms wrote it.
    await database.aggregator.within({}, async (tx) => {
      await sql`update requests set total_ms_cell = null, first_token_ms_cell = null where namespace_id = ${namespaceId}`.execute(
        tx,
      );
      await sql`update latencies_hourly set total_ms_histogram = 0, first_token_ms_histogram = 0
        where namespace_id = ${namespaceId}`.execute(tx);
    });
    const moment = { from: settled.createdAt, to: new Date(settled.createdAt.getTime() + 1) };
    expect(await latenciesIn(namespaceId, {})).toEqual([]);
    expect(await latenciesIn(namespaceId, { range: moment })).toEqual([]);
    const corrected = { ...settled, estimated: false };
    await database.log.record([corrected]);
    for (const query of [{}, { range: moment }]) {
      expect(await latenciesIn(namespaceId, query)).toEqual(plainLatencies([corrected], () => " "));
    }
  });

  test("are shown only to their namespace, and for the whole node by namespace", async () => {
    const [one, two] = [settledRequest(pendingRequest()), settledRequest(pendingRequest())];
    await database.log.record(deduplicate([one, two]));
    const seen = (scope: { namespaceId?: string }) =>
      database.query.within(scope, (tx) => tx.selectFrom("latencies_hourly").select("namespace_id").execute());
    expect(await seen({})).toEqual([]);
    expect(await seen({ namespaceId: one.namespaceId })).toEqual([{ namespace_id: one.namespaceId }]);
    const groups = await database.usage.sumNodeUsage(usageQuery({ withLatencies: true, groupBy: ["namespace"] }));
    const ofTwo = groups.find(({ namespaceId }) => namespaceId === two.namespaceId);
    expect(countsOf(ofTwo?.latencies.total ?? [])).toEqual({ [totalCellOf(two) ?? -1]: 1 });
  });
});
