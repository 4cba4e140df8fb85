import { type Kysely, sql } from "kysely";

/** Indexes in the order of the request log, so that a page of it is read from where it begins, whatever is asked for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create index requests_in_order on requests (namespace_id, created_at, id)`,
    sql`drop index requests_by_time`,
    sql`create index requests_of_key on requests (namespace_id, key_id, created_at, id)`,
    // Those that one looks for, and the few: most requests succeed and are in no need of this index.
    sql`create index requests_amiss on requests (namespace_id, status, created_at, id)
      where status in ('failed', 'cancelled', 'denied', 'unknown')`,
  ];
  for (const statement of statements) await statement.execute(db);
}
