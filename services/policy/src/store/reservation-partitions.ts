import type { Id } from "@routeplane/domain";
import type { Database } from "@routeplane/postgres";
import { type RawBuilder, sql } from "kysely";
import type { OpenTotals, ReservationPartitions } from "../domain/ports.ts";
import type { PolicySchema } from "./schema.ts";

/** Days ahead for which there are partitions. */
const DAYS_AHEAD = 3;

/** Creates the store of the partitions of reservations. Every step is a transaction of its own, and holds its locks only briefly. */
export function createReservationPartitions(database: Database<PolicySchema>): ReservationPartitions {
  const call = <T>(expression: RawBuilder<T>) =>
    database.within({ node: true }, async (tx) => {
      const { rows } = await sql<{ value: T }>`select ${expression} as value`.execute(tx);
      return rows.map(({ value }) => value);
    });
  return {
    async boundLegacy() {
      const [isLegacy] = await call(sql<boolean>`bound_legacy_holds()`);
      if (isLegacy !== true) return false;
      await call(sql`validate_legacy_holds()`);
      await call(sql`attach_legacy_holds()`);
      return true;
    },
    create: () => call(sql<string>`ensure_hold_partitions(${DAYS_AHEAD})`),
    async dropOldest() {
      const [name] = await call(sql<string | null>`drop_hold_partition()`);
      return name ?? undefined;
    },
    async deleteStray(maxCount) {
      const [deleted] = await call(sql<number>`prune_default_holds(${maxCount})`);
      return deleted ?? 0;
    },
    openTotals: () =>
      database.within({ node: true }, async (tx) => {
        const { rows } = await sql<OpenTotals>`
          select reservations, reserved_nano as "reservedNano" from open_hold_totals()`.execute(tx);
        const [totals = { reservations: 0n, reservedNano: 0n }] = rows;
        return totals;
      }),
    async nextOverdueNamespace(after) {
      const [next] = await call(sql<Id<"ns"> | null>`next_overdue_namespace(${after ?? ""})`);
      return next ?? undefined;
    },
  };
}
