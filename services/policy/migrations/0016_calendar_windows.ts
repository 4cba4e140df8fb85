import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_policy";

/** Rings of calendar windows: their buckets are the days of a time zone, which is stored beside the numbers of `spend`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table counters add column spend_time_zone text`,
    sql`grant update (spend_time_zone) on counters to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
