/**
 * Tests of statements that wait for a row which another transaction changes meanwhile, in a partition other than the first. Postgres
 * evaluates such a row again. From then on, version 18 prunes partitions wrongly if it prunes them row by row.
 */
import { type Id, newId } from "@routeplane/domain";
import { eventually } from "@routeplane/testing";
import { type RawBuilder, sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lockApplied } from "../src/store/ledger-reads.ts";
import { createReportStore } from "../src/store/report-store.ts";
import { createReservationPartitions } from "../src/store/reservation-partitions.ts";
import { type PolicyUnderTest, startPolicyUnderTest } from "./policy-under-test.ts";

let policy: PolicyUnderTest;
beforeAll(async () => {
  policy = await startPolicyUnderTest();
  const partitions = createReservationPartitions(policy.database);
  await partitions.boundLegacy();
  await partitions.create();
});
afterAll(() => policy.stop());

/** Admits requests whose reservations are in the partition of the day after tomorrow. */
async function admitted(count: number) {
  const { namespaceId, binding, request, total } = await policy.oneBudget(1_000n);
  const { rows } = await policy.admin.within({}, (tx) =>
    sql<{ id: string }>`select hold_id_of(now() + interval '2 days') as id`.execute(tx),
  );
  const requests = Array.from({ length: count }, () => {
    const requestId = `${rows[0]?.id}${newId("req").slice(14)}` as Id<"req">;
    return { ...request(10n), requestId };
  });
  for (const each of requests) await policy.admission.admit(each);
  return { namespaceId, binding, requests, total };
}

/** Makes a change, starts a call that waits for its rows, and commits. @returns the answer of the call */
async function whileChanging<T>(change: RawBuilder<unknown>, call: () => Promise<T>): Promise<T> {
  let running: Promise<T> | undefined;
  await policy.admin.within({}, async (tx) => {
    await change.execute(tx);
    running = call();
    await eventually(async () => {
      const { rows } = await policy.admin.within({}, (other) =>
        sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
          other,
        ),
      );
      return rows.length > 0;
    });
  });
  return running ?? expect.fail("the call was not started");
}

it("a report ends every reservation of it, also after one was changed while it waited", async () => {
  const { namespaceId, requests, total } = await admitted(3);
  const reports = requests.map(({ keyId, requestId }) => ({
    namespaceId,
    keyId,
    requestId,
    sessionId: undefined,
    limitSet: 0,
    countedAtMs: undefined,
    boundNano: 10_000n,
    tokensMax: 10n,
    end: { kind: "settled", costNano: 4_000n, tokens: 4n } as const,
  }));
  const store = createReportStore(policy.database);
  for (const { requestId } of requests) {
    const change = sql`update holds set expires_at = expires_at + interval '1 second' where request_id = ${requestId}`;
    expect(await whileChanging(change, () => store.apply(namespaceId, reports))).toEqual(["done", "done", "done"]);
    expect(await total()).toMatchObject({ reservedNano: 0n, spentNano: 12_000n });
  }
});

it("an existing reservation is found even if its budget was changed during the wait for it", async () => {
  const { namespaceId, binding, requests } = await admitted(1);
  const change = sql`update counters set open_holds = open_holds where binding_id = ${binding.id}`;
  const lock = () =>
    policy.database.within({ namespaceId }, (tx) => lockApplied(tx, namespaceId, requests, [namespaceId]));
  expect(await whileChanging(change, lock)).toMatchObject({ known: true });
});
