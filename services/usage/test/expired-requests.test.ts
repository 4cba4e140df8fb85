import { newId } from "@routeplane/domain";
import { type Database, openDatabase } from "@routeplane/postgres";
import { cloneDatabase, type TestDatabase } from "@routeplane/testing";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as unknown from "../migrations/0005_unknown.ts";
import { rowsIn, usageQuery } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import type { LoggedRequest } from "../src/domain/request.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import { openUsageDatabase, startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let query: UsageDatabase["query"];
let log: UsageDatabase["log"];
let usage: UsageDatabase["usage"];

beforeAll(async () => {
  database = await startUsageDatabase();
  ({ query, log, usage } = database);
});

afterAll(() => database.stop());

/** Opens the database as migrations do. */
function openOwner(of: TestDatabase): Database<unknown> {
  return openDatabase({ url: of.url("routeplane_usage_owner"), schema: "usage", applicationName: "test" });
}

const LONG_AGO = new Date("2026-01-01T00:10:00.007Z");
const overdueRequest = (given: Partial<LoggedRequest> = {}) => pendingRequest({ expiresAt: LONG_AGO, ...given });
const rowsOf = ({ namespaceId }: LoggedRequest) => rowsIn(query, namespaceId);
const bySums = ({ namespaceId }: LoggedRequest) => usage.sumUsage(namespaceId, usageQuery({ groupBy: ["status"] }));

describe("a request that nobody settles", () => {
  test("is unknown once its reservation expires, charged as reserved, in the row and in the sums", async () => {
    const overdue = overdueRequest({ reservedNanoUsd: 7_000n });
    const underWay = pendingRequest({ namespaceId: overdue.namespaceId });
    const justOver = pendingRequest({ namespaceId: overdue.namespaceId, expiresAt: new Date(Date.now() - 1_000) });
    await log.record(deduplicate([overdue, underWay, justOver]));
    expect(await log.expireRequests(1_000)).toBe(1n);
    expect(await log.expireRequests(1_000)).toBe(0n);
    const charged = {
      status: "unknown",
      costNanoUsd: 7_000n,
      estimated: true,
      completedAt: LONG_AGO,
      expiresAt: undefined,
    };
    expect((await rowsOf(overdue)).toReversed()).toEqual([{ ...overdue, ...charged }, underWay, justOver]);
    expect(await bySums(overdue)).toMatchObject([
      { status: "unknown", requestCount: 1n, costNanoUsd: 7_000n },
      { status: "pending", requestCount: 2n, costNanoUsd: 0n },
    ]);
  });

  test("is corrected by a late settlement, and stays corrected", async () => {
    const overdue = overdueRequest();
    await log.record([overdue]);
    await log.expireRequests(1_000);
    const settled = settledRequest(overdue, { costNanoUsd: 2_000n });
    await log.record([settled]);
    await log.record([overdue]);
    expect(await log.expireRequests(1_000)).toBe(0n);
    expect(await rowsOf(overdue)).toEqual([settled]);
    expect(await bySums(overdue)).toMatchObject([{ status: "succeeded", requestCount: 1n, costNanoUsd: 2_000n }]);
  });

  test("is charged once by any number of replicas, while settlements arrive", async () => {
    const namespaceId = newId("ns");
    const requests = Array.from({ length: 400 }, () => overdueRequest({ namespaceId, reservedNanoUsd: 5_000n }));
    await log.record(deduplicate(requests));
    const late = requests
      .filter((_, index) => index % 2 === 0)
      .map((each) => settledRequest(each, { costNanoUsd: 1_000n }));
    const sweeps = Array.from({ length: 8 }, () => log.expireRequests(60));
    const settlements = Array.from({ length: 4 }, (_, part) =>
      log.record(deduplicate(late.filter((_each, index) => index % 4 === part))),
    );
    await Promise.all([...sweeps, ...settlements]);
    while ((await log.expireRequests(60)) > 0n);
    expect(await bySums(requests[0]!)).toMatchObject([
      { status: "unknown", requestCount: 200n, costNanoUsd: 1_000_000n },
      { status: "succeeded", requestCount: 200n, costNanoUsd: 200_000n },
    ]);
  });
});

/** Number of orders in which the same events are recorded. */
const PERMUTATIONS = 4_000;
const ROUNDS = 4;
const AT_ONCE = 2_000;

test("a request that was pending before requests could expire gets one day from the migration", async () => {
  const before = await cloneDatabase();
  const [superuser, owner] = [openUsageDatabase(before.adminUrlOf("usage")), openOwner(before)];
  try {
    const pending = pendingRequest();
    await createRequestLog(superuser).record(deduplicate([pending, settledRequest(pendingRequest())]));
    await superuser.within({}, (tx) => sql`alter table requests drop column expires_at`.execute(tx));
    const began = Date.now();
    await owner.within({}, (tx) => unknown.up(tx));
    const rows = await superuser.within({}, (tx) => tx.selectFrom("requests").selectAll().execute());
    const lives = rows.map((row) => [
      row.id === pending.id,
      row.expires_at && row.expires_at.getTime() - began >= 86_400_000,
    ]);
    expect(new Map(lives as [boolean, boolean | null][])).toEqual(
      new Map([
        [true, true],
        [false, null],
      ]),
    );
  } finally {
    await Promise.all([superuser.stop(), owner.stop()]);
    await before.drop();
  }
});

describe("a set of events", () => {
  test(`gives the same rows in each of ${PERMUTATIONS} orders, with repetitions, and with requests that expire in between`, async () => {
    const namespaceId = newId("ns");
    const shuffled = fc.sample(
      fc.tuple(
        fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6], { minLength: 14, maxLength: 14 }),
        fc.array(fc.nat(ROUNDS - 1), { minLength: 14, maxLength: 14 }),
      ),
      PERMUTATIONS,
    );
    const rounds: LoggedRequest[][] = Array.from({ length: ROUNDS }, () => []);
    for (const [order, cuts] of shuffled) {
      const events = eventsOf(newId("key"), namespaceId);
      const rising = cuts.toSorted((left, right) => left - right);
      order.forEach((which, position) => rounds[rising[position] ?? 0]?.push(events[which]!));
    }
    for (const round of rounds) {
      for (let at = 0; at < round.length; at += AT_ONCE) await log.record(deduplicate(round.slice(at, at + AT_ONCE)));
      // Expires some requests, wherever they are in their order.
      await log.expireRequests(2_000);
    }
    while ((await log.expireRequests(2_000)) > 0n);
    const bills = await usage.sumUsage(namespaceId, usageQuery({ groupBy: ["key"] }));
    expect(bills).toHaveLength(PERMUTATIONS);
    const wrong = bills.filter(
      ({ requestCount, costNanoUsd, promptTokens }) =>
        requestCount !== 4n || costNanoUsd !== 1_000n + 20_000n + 300_000n + 4_000_000n || promptTokens !== 36n,
    );
    expect(wrong).toEqual([]);
  }, 180_000);

  /** Events of four requests: settled; settled twice, first by an estimate; never settled; settled without an admission. */
  function eventsOf(
    keyId: LoggedRequest["keyId"],
    namespaceId: LoggedRequest["namespaceId"],
  ): readonly LoggedRequest[] {
    const make = (): LoggedRequest => overdueRequest({ keyId, namespaceId, reservedNanoUsd: 300_000n });
    const [plain, twice, lost, bare] = [make(), make(), make(), make()];
    return [
      plain,
      settledRequest(plain, { costNanoUsd: 1_000n }),
      twice,
      settledRequest(twice, { costNanoUsd: 90_000n, estimated: true, status: "cancelled" }),
      settledRequest(twice, { costNanoUsd: 20_000n }),
      lost,
      settledRequest(bare, { costNanoUsd: 4_000_000n }),
    ];
  }
});
