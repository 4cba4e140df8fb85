import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { LogPosition, LogPositionMarks } from "../domain/ports.ts";
import type { UsageSchema } from "./schema.ts";

/**
 * Creates the store in which the aggregator updates the position. Positions are ids of transactions, which only grow: no clock matters, not
 * even that of the database.
 */
export function createLogPositionMarks(database: Database<UsageSchema>): LogPositionMarks {
  return {
    begin: () =>
      database.within({ node: true }, async (transaction) => {
        const { rows } = await sql<{ consumed: string; at: Date }>`
          select pg_current_xact_id()::text as consumed, clock_timestamp() as at`.execute(transaction);
        const [row] = rows;
        if (row === undefined) throw new Error("unreachable: the statement returns a row");
        return { consumed: BigInt(row.consumed), consumedUntil: row.at };
      }),

    // Can also decrease: after a restore into another cluster, whose transaction ids begin again, the stored position is wrong.
    end: ({ consumed, consumedUntil }) =>
      database.within({ node: true }, async (transaction) => {
        await transaction.updateTable("log_position").set({ consumed, consumed_until: consumedUntil }).execute();
      }),
  };
}

/**
 * Reads the present position, and the position up to which the stream is recorded. The present position is the first id above those of all
 * ended transactions, so that a transaction in which the aggregator began to read the stream, and which has ended, has a lower id.
 */
export function readLogPosition(database: Database<UsageSchema>): Promise<LogPosition> {
  return database.within({ node: true }, async (transaction) => {
    const { rows } = await sql<{ now: string; consumed: bigint; consumed_until: Date | null }>`
      select pg_snapshot_xmax(pg_current_snapshot())::text as now, consumed, consumed_until from log_position
    `.execute(transaction);
    const [row] = rows;
    const now = BigInt(row?.now ?? 0);
    // A position in the future is that of another cluster, from which the database was restored.
    if (row === undefined || row.consumed >= now) return { now, consumed: 0n, consumedUntil: undefined };
    return { now, consumed: row.consumed, consumedUntil: row.consumed_until ?? undefined };
  });
}
