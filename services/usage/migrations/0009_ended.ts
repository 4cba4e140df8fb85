import { type Kysely, sql } from "kysely";

/**
 * The transaction in which a request ended, so that the log can be watched: all rows of transactions below the oldest running
 * one are visible, and no row will be added to them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Null for requests that ended before: no watch starts that early.
    sql`alter table requests add ended_tx xid8`,
    sql`create index requests_ended on requests (namespace_id, ended_tx, id) where ended_tx is not null`,
    sql`grant update (ended_tx) on requests to routeplane_aggregator`,
  ];
  for (const statement of statements) await statement.execute(db);
}
