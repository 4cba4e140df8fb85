import { type Kysely, sql } from "kysely";

/** Amounts of the limit that denied a request; null where none did, as for every earlier request. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests add column denied_amounts jsonb check (jsonb_typeof(denied_amounts) = 'object')`,
    sql`grant update (denied_amounts) on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
