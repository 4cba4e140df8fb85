import { randomUUID } from "node:crypto";
import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { AggregatorRegistry } from "../domain/ports.ts";
import type { UsageSchema } from "./schema.ts";

/**
 * Creates the registry of aggregators, with an id for this run. Its lock and its times are Postgres's: no clock of a process
 * matters, and a transaction pooler may stand in between.
 */
export function createAggregatorRegistry(database: Database<UsageSchema>): AggregatorRegistry {
  const id = randomUUID();
  return {
    id,
    exchange: (durationMs, choose) =>
      database.within({ node: true }, async (transaction) => {
        await sql`select pg_advisory_xact_lock(hashtext('usage.aggregators'))`.execute(transaction);
        // Not now(): that is when the transaction began, before it waited for the lock.
        await sql`delete from aggregators where expires_at < clock_timestamp()`.execute(transaction);
        const replicas = await transaction.selectFrom("aggregators").select(["id", "partitions"]).execute();
        const partitions = [...choose(replicas)];
        const expiresAt = sql<Date>`clock_timestamp() + make_interval(secs => ${durationMs / 1_000})`;
        await transaction
          .insertInto("aggregators")
          .values({ id, partitions, expires_at: expiresAt })
          .onConflict((conflict) => conflict.column("id").doUpdateSet({ partitions, expires_at: expiresAt }))
          .execute();
      }),
    leave: () =>
      database.within({ node: true }, async (transaction) => {
        await transaction.deleteFrom("aggregators").where("id", "=", id).execute();
      }),
  };
}
