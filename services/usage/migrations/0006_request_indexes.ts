import { type Kysely, sql } from "kysely";

/** Indexes in the order of the request log, so that every filter reads a page from its start. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create index requests_in_order on requests (namespace_id, created_at, id)`,
    sql`drop index requests_by_time`,
    sql`create index requests_of_key on requests (namespace_id, key_id, created_at, id)`,
    // Only the few that people look for: most requests succeed and take no space in this index.
    sql`create index requests_amiss on requests (namespace_id, status, created_at, id)
      where status in ('failed', 'cancelled', 'denied', 'unknown')`,
  ];
  for (const statement of statements) await statement.execute(db);
}
