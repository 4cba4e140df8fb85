import { newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import { createReconciliationStore } from "../src/store/reconciliation.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import type { UsageSchema } from "../src/store/schema.ts";

let clone: TestDatabase;
let superuser: Database<UsageSchema>;
let query: Database<UsageSchema>;
let aggregator: Database<UsageSchema>;

beforeAll(async () => {
  clone = await cloneDatabase();
  [superuser, query, aggregator] = [
    open(clone.adminUrlOf("usage")),
    open(clone.url("routeplane_usage")),
    open(clone.url("routeplane_aggregator")),
  ];
});

afterAll(async () => {
  await Promise.all([superuser.stop(), query.stop(), aggregator.stop()]);
  await clone.drop();
});

function open(url: string): Database<UsageSchema> {
  return openDatabase<UsageSchema>({ url, schema: "usage", applicationName: "test" });
}

describe("wrong totals are named", () => {
  const day = { from: new Date("2026-11-20T00:00:00Z"), to: new Date("2026-11-21T00:00:00Z") };
  const request = settledRequest(pendingRequest({ createdAt: new Date("2026-11-20T10:07:00Z") }), {
    costNanoUsd: 5_000n,
  });
  const { namespaceId } = request;
  const none = { keyId: undefined, model: undefined, provider: undefined, status: undefined };
  const spent = (kept: bigint, expected: bigint) => ({
    kept: { ...none, costNanoUsd: kept },
    expected: { costNanoUsd: expected },
  });
  const differences = (keptFrom: string) =>
    createReconciliationStore(query).findDifferences(namespaceId, { ...day, days: day }, new Date(keptFrom));
  const set = (minutes: 5 | 1440, costNanoUsd: bigint) =>
    superuser.within({}, (tx) =>
      tx.updateTable("totals").set({ cost_nano_usd: costNanoUsd }).where("minutes", "=", minutes).execute(),
    );
  const [LOGGED, NOT_LOGGED] = ["2000-01-01T00:00:00Z", "2026-11-20T11:00:00Z"] as const;

  beforeAll(async () => {
    const denied = settledRequest(pendingRequest({ namespaceId, createdAt: request.createdAt }), { status: "denied" });
    await createRequestLog(aggregator).record([request]);
    await createRequestLog(aggregator).record([denied]);
  });

  test("none, while they are right", async () => {
    expect(await differences(LOGGED)).toEqual([]);
    expect(await differences(NOT_LOGGED)).toEqual([]);
  });

  test("of a day, by comparison with its five minutes", async () => {
    await set(1440, 6_000n);
    const of = { fiveMinutes: undefined, ...spent(6_000n, 5_000n) };
    expect(await differences(LOGGED)).toMatchObject([of]);
    expect((await differences(LOGGED))[0]?.kept).toMatchObject({ day: day.from, hour: undefined });
    await set(1440, 5_000n);
  });

  test("of five minutes, by comparison with the log, or with the hour where the log was dropped", async () => {
    await set(5, 6_000n);
    await set(1440, 6_000n);
    const fiveMinutes = new Date("2026-11-20T10:05:00Z");
    expect(await differences(LOGGED)).toMatchObject([{ fiveMinutes, ...spent(6_000n, 5_000n) }]);
    const [hour, ...more] = await differences(NOT_LOGGED);
    expect(hour).toMatchObject({ fiveMinutes: undefined, ...spent(6_000n, 5_000n) });
    expect(hour?.kept.hour).toEqual(new Date("2026-11-20T10:00:00Z"));
    expect(more).toEqual([]);
  });

  test("of the wrong five minutes, although the hour and the day are right", async () => {
    await set(5, 5_000n);
    await set(1440, 5_000n);
    await superuser.within({}, (tx) =>
      tx
        .updateTable("totals")
        .set({ bucket: new Date("2026-11-20T10:10:00Z") })
        .where("minutes", "=", 5)
        .execute(),
    );
    expect((await differences(LOGGED)).map(({ fiveMinutes }) => fiveMinutes?.getUTCMinutes())).toEqual([5, 10]);
  });
});

test("a part ends with a day or, within a day, with an hour, before more rows than it can have", async () => {
  const at = (time: string) => new Date(`2026-11-${time}:00:00Z`);
  const namespaceId = newId("ns");
  const times = ["10T05", "11T07", "12T01", "12T02", "12T02", "12T02"];
  const requests = times.map((time) => settledRequest(pendingRequest({ namespaceId, createdAt: at(time) })));
  await createRequestLog(aggregator).record(deduplicate(requests));
  const store = createReconciliationStore(query);
  const endOf = (from: string, rows: number) => store.endOfPart(namespaceId, { from: at(from), to: at("13T00") }, rows);
  expect(await endOf("10T00", 6)).toEqual(at("13T00"));
  expect(await endOf("10T00", 3)).toEqual(at("12T00"));
  expect(await endOf("12T00", 3)).toEqual(at("12T02"));
  // More rows than that in one hour.
  expect(await endOf("12T02", 2)).toEqual(at("12T03"));
  // Sums count too, because those of months whose requests were dropped are read as well.
  await superuser.within({}, (tx) => tx.deleteFrom("requests").where("namespace_id", "=", namespaceId).execute());
  expect(await endOf("10T00", 2)).toEqual(at("12T00"));
  expect(await endOf("10T00", 6)).toEqual(at("13T00"));
});
