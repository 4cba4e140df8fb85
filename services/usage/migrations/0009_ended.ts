import { type Kysely, sql } from "kysely";

/**
 * In which transaction a request ended, so that they can be followed: whatever transactions below the oldest that is running
 * have written can be seen, and nothing will be added to it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Empty for what had ended before: nobody follows from so far back.
    sql`alter table requests add ended_tx xid8`,
    sql`create index requests_ended on requests (namespace_id, ended_tx, id) where ended_tx is not null`,
    sql`grant update (ended_tx) on requests to routeplane_aggregator`,
  ];
  for (const statement of statements) await statement.execute(db);
}
