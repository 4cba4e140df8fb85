import type { Database } from "@routeplane/postgres";
import { sql } from "kysely";
import type { LogPosition, LogPositionMarks } from "../domain/ports.ts";
import type { UsageSchema } from "./schema.ts";

/**
 * Creates the store of the position by which the aggregator keeps it. Positions are ids of transactions, which only grow: no clock
 * matters, also not that of the database.
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

    // Not only upwards: after a restore into another cluster, whose transactions begin again, the position of before is wrong.
    end: ({ consumed, consumedUntil }) =>
      database.within({ node: true }, async (transaction) => {
        await transaction.updateTable("log_position").set({ consumed, consumed_until: consumedUntil }).execute();
      }),
  };
}

/**
 * Reads the position of now, and up to which the stream is recorded. The position of now is the first id that no transaction had
 * that is over: one in which the aggregator began to look, and which is over, has a lower one.
 */
export function readLogPosition(database: Database<UsageSchema>): Promise<LogPosition> {
  return database.within({ node: true }, async (transaction) => {
    const { rows } = await sql<{ now: string; consumed: bigint; consumed_until: Date | null }>`
      select pg_snapshot_xmax(pg_current_snapshot())::text as now, consumed, consumed_until from log_position
    `.execute(transaction);
    const [row] = rows;
    const now = BigInt(row?.now ?? 0);
    // A position of the future is of another cluster, from which the database was restored.
    if (row === undefined || row.consumed >= now) return { now, consumed: 0n, consumedUntil: undefined };
    return { now, consumed: row.consumed, consumedUntil: row.consumed_until ?? undefined };
  });
}
