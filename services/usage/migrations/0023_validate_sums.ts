import { type Kysely, sql } from "kysely";
import { SUM_TABLES } from "./0022_bound_sums.ts";

/** Validates the bounds of 0022. Reads the tables through, which blocks neither reads nor writes, so it is no transaction. */
export const isConcurrent = true;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of SUM_TABLES) {
    await sql`alter table ${sql.table(table)} validate constraint ${sql.id(`${table}_bound`)}`.execute(db);
  }
}
