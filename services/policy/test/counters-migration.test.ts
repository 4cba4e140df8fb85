import { newId } from "@routeplane/domain";
import { migrateToLatest, openDatabase } from "@routeplane/postgres";
import { cloneDatabase } from "@routeplane/testing";
import { sql } from "kysely";
import { expect, it } from "vitest";
import { migrations } from "../migrations/index.ts";
import { createAdmission } from "../src/domain/admission/admission.ts";
import { createLedger } from "../src/store/ledger.ts";
import type { PolicySchema } from "../src/store/schema.ts";
import { RESERVATION_TTL_MS, requestOf, used } from "./policy-under-test.ts";

const MINUTE_MS = 60_000;

it("the migration of counters keeps spent and reserved amounts, and no amount leaves its window earlier", async () => {
  const clone = await cloneDatabase();
  const url = (role: "routeplane_policy" | "routeplane_policy_owner") => clone.url(role);
  const open = (at: string) =>
    openDatabase<PolicySchema>({ url: at, schema: "policy", applicationName: "policy-test" });
  const [admin, database] = [open(clone.adminUrlOf("policy")), open(url("routeplane_policy"))];
  const migrate = (to: typeof migrations) =>
    migrateToLatest({ url: url("routeplane_policy_owner"), schema: "policy", migrations: to });
  try {
    await admin.within({}, async (tx) => {
      await sql`drop schema policy cascade`.execute(tx);
      await sql`create schema policy authorization routeplane_policy_owner`.execute(tx);
      await sql`grant usage on schema policy to routeplane_policy`.execute(tx);
    });
    await migrate(Object.fromEntries(Object.entries(migrations).filter(([name]) => name < "0006")));
    const [namespaceId, key, request] = [newId("ns"), newId("key"), newId("req")];
    const spent = [
      ["hour", 60 * MINUTE_MS, MINUTE_MS],
      ["day", 1_440 * MINUTE_MS, 24 * MINUTE_MS],
      ["week", 10_080 * MINUTE_MS, 180 * MINUTE_MS],
      ["total", 0, 0],
    ] as const;
    const nowMs = Date.now();
    const ids = spent.map(([window]) => ({ window, policyId: newId("pol"), bindingId: newId("bnd") }));
    await admin.within({}, async (tx) => {
      for (const [index, { window, policyId, bindingId }] of ids.entries()) {
        const [, windowMs, bucketMs] = spent[index] ?? expect.fail();
        const spec = JSON.stringify({ window, limit_micro_usd: 1_000 });
        const bucket = (agoMs: number) =>
          new Date(bucketMs === 0 ? 0 : Math.floor((nowMs - agoMs) / bucketMs) * bucketMs);
        // One bucket that is about to leave the window, and one from just now.
        const buckets = bucketMs === 0 ? [bucket(0)] : [bucket(windowMs - 2 * bucketMs), bucket(0)];
        await sql`insert into policies values (${namespaceId}, ${policyId}, ${window}, 'budget', ${spec}, now())`.execute(
          tx,
        );
        await sql`insert into bindings values (${namespaceId}, ${bindingId}, ${policyId}, 'namespace', ${namespaceId}, now())`.execute(
          tx,
        );
        await sql`insert into budget_counters values (${namespaceId}, ${bindingId}, 50000)`.execute(tx);
        for (const start of buckets) {
          await sql`insert into budget_buckets values (${namespaceId}, ${bindingId}, ${start}, 200000)`.execute(tx);
        }
      }
      await sql`insert into holds (namespace_id, request_id, binding_ids, amount_nano, output_tokens_max, expires_at, state)
        values (${namespaceId}, ${request}, ${ids.map(({ bindingId }) => bindingId)}, 50000, 50,
          now() + interval '10 minutes', 'open')`.execute(tx);
    });
    await migrate(migrations);
    const admission = createAdmission(createLedger(database), RESERVATION_TTL_MS);
    // 200 + 200 spent and 50 reserved in a rolling window; 200 + 50 in an endless one.
    const first = await admission.admit(requestOf(namespaceId, [key], 9_999n));
    expect(first).toMatchObject({ outcome: "admitted", outputTokensMax: 550n });
    const reservationKey = { namespaceId, keyId: key, requestId: request };
    await admission.settle(reservationKey, used(20_000n));
    const { rows } = await admin.within({}, (tx) =>
      sql<{ window: string; spend: readonly string[]; reserved: bigint; sum: string }>`
        select p.spec->>'window' as window, c.spend, c.reserved_nano as reserved,
          (select sum(each)::text from unnest(c.spend[3:]) each) as sum
        from counters c join bindings b on b.id = c.binding_id join policies p on p.id = b.policy_id`.execute(tx),
    );
    const sums = new Map(rows.map(({ window, sum, reserved }) => [window, [sum, reserved]]));
    for (const [window, windowMs] of spent)
      expect(sums.get(window)).toEqual([windowMs === 0 ? "220000" : "420000", 550_000n]);
  } finally {
    await Promise.all([admin.stop(), database.stop()]);
    await clone.drop();
  }
});
