import { type Kysely, sql } from "kysely";

/** Tables of stored sums. */
const TABLES = ["rollups_hourly", "rollups_daily", "totals"] as const;

/**
 * Sums of costs are numeric: one request may cost 2,000,000,000 USD, of which a bigint holds the sum of four. Rewrites the tables of
 * sums, which locks them meanwhile. An aggregator of the previous release goes on writing them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of TABLES) {
    await sql`alter table ${sql.table(table)} alter column cost_nano_usd type numeric(38, 0)`.execute(db);
  }
}
