import { type Id, newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pageRequest } from "./queries.ts";
import { pendingRequest, settledRequest } from "./requests.ts";
import { deduplicate } from "../src/domain/deduplication.ts";
import type { EndPosition } from "../src/domain/ports.ts";
import { createRequestLog } from "../src/store/request-log.ts";
import { startUsageDatabase, type UsageDatabase } from "./usage-database.ts";

let database: UsageDatabase;
let query: UsageDatabase["query"];
let aggregator: UsageDatabase["aggregator"];
let log: UsageDatabase["log"];
let usage: UsageDatabase["usage"];

beforeAll(async () => {
  database = await startUsageDatabase();
  ({ query, aggregator, log, usage } = database);
});

afterAll(() => database.stop());

const { filter } = pageRequest();

/** Lists ended requests from a position on until `isDone`. Returns their ids in that order. */
async function listUntil(namespaceId: Id<"ns">, after: EndPosition, isDone: (seen: readonly string[]) => boolean) {
  const seen: string[] = [];
  const until = Date.now() + 15_000;
  while (!isDone(seen) && Date.now() < until) {
    const { rows, next } = await usage.listEnded(namespaceId, { after, size: 7, filter });
    seen.push(...rows.map(({ id }) => id));
    after = next;
  }
  return seen;
}

describe("listing requests as they end", () => {
  test("lists each once while others write, and no pending ones", async () => {
    const namespaceId = newId("ns");
    const from = await usage.endPosition();
    const writers = Array.from({ length: 6 }, async () => {
      const made: string[] = [];
      for (let batch = 0; batch < 15; batch++) {
        const requests = Array.from({ length: 4 }, () => pendingRequest({ namespaceId }));
        await log.record(deduplicate(requests));
        const settled = requests.slice(1).map((request) => settledRequest(request));
        await log.record(deduplicate(settled));
        await log.record(deduplicate(settled));
        made.push(...settled.map(({ id }) => id));
      }
      return made;
    });
    const written = Promise.all(writers).then((all) => all.flat());
    const seen = await listUntil(namespaceId, from, (ids) => ids.length >= 6 * 15 * 3);
    expect(seen.toSorted()).toEqual((await written).toSorted());
  });

  test("skips no request of a slow transaction that began before a faster one", async () => {
    const namespaceId = newId("ns");
    const slow = settledRequest(pendingRequest({ namespaceId }));
    // On another day, because the sums of the slow one, also those of its namespace, are locked.
    const quick = settledRequest(pendingRequest({ namespaceId, createdAt: new Date("2026-10-01T00:00:00Z") }));
    let position = await usage.endPosition();
    const [begun, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slowly = aggregator.within({}, async (transaction) => {
      // Like `record`, but within the transaction that is held open.
      const inside = {
        ...aggregator,
        within: <T>(_: object, work: (tx: typeof transaction) => Promise<T>) => work(transaction),
      };
      await createRequestLog(inside as typeof aggregator).record([slow]);
      begun.resolve();
      await release.promise;
    });
    await begun.promise;
    await log.record([quick]);
    const early = await usage.listEnded(namespaceId, { after: position, size: 10, filter });
    position = early.next;
    expect(early.rows).toEqual([]);
    release.resolve();
    await slowly;
    const seen = await listUntil(namespaceId, position, (ids) => ids.length >= 2);
    expect(seen).toEqual([slow.id, quick.id]);
  });

  test("lists no request again when it is corrected, and none of another namespace", async () => {
    const namespaceId = newId("ns");
    const from = await usage.endPosition();
    const request = pendingRequest({ namespaceId, expiresAt: new Date("2026-01-01T00:00:00Z") });
    await log.record(
      [request, settledRequest(pendingRequest())].toSorted((left, right) =>
        left.namespaceId < right.namespaceId ? -1 : 1,
      ),
    );
    await log.expireRequests(10);
    // Listed only after other transactions on the same server have ended.
    const [first] = await eventually(async () => {
      const { rows } = await usage.listEnded(namespaceId, { after: from, size: 10, filter });
      return rows.length > 0 && rows;
    });
    expect(first).toMatchObject({ id: request.id, status: "unknown" });
    await log.record([settledRequest(request)]);
    const last = settledRequest(pendingRequest({ namespaceId }));
    await log.record([last]);
    expect(await listUntil(namespaceId, from, (seen) => seen.includes(last.id))).toEqual([request.id, last.id]);
    const { rows: plans } = await query.within({ namespaceId }, (tx) =>
      sql`select count(*)::int as count from requests where ended_tx is null`.execute(tx),
    );
    expect(plans).toEqual([{ count: 0 }]);
  });
});
