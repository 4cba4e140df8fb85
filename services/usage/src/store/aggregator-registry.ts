import { randomUUID } from "node:crypto";
import { andCommit, type Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { AggregatorRegistry, RunningAggregator } from "../domain/ports.ts";
import type { UsageSchema } from "./schema.ts";

/**
 * Creates the registry of aggregators, with an id for this run. Lock and times are those of Postgres, so that the clocks of processes do
 * not matter, and a pooler in transaction mode can be used.
 */
export function createAggregatorRegistry(database: Database<UsageSchema>): AggregatorRegistry {
  const id = randomUUID();
  return {
    id,
    exchange: (durationMs, choose) =>
      database.within({ node: true }, async (transaction) => {
        await sql`select pg_advisory_xact_lock(hashtext('usage.aggregators'))`.execute(transaction);
        // Not now(), which is the start of the transaction, before it waited for the lock.
        const { rows } = await sql<RunningAggregator & { readonly has_ended: boolean }>`
          select id, partitions, expires_at < clock_timestamp() as has_ended from aggregators`.execute(transaction);
        const ended = rows.flatMap((row) => (row.has_ended ? [row.id] : []));
        const partitions = [...choose(rows.filter((row) => !row.has_ended))];
        const registered = sql`
          with removed as (delete from aggregators where id = any(${ended}) and id <> ${id})
          insert into aggregators (id, partitions, expires_at)
          values (${id}, ${partitions}, clock_timestamp() + make_interval(secs => ${durationMs / 1_000}))
          on conflict (id) do update set partitions = excluded.partitions, expires_at = excluded.expires_at`;
        await andCommit(registered).execute(transaction);
      }),
    leave: () =>
      database.within({ node: true }, async (transaction) => {
        await transaction.deleteFrom("aggregators").where("id", "=", id).execute();
      }),
  };
}
