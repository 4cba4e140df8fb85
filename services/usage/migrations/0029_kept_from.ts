import { type Kysely, sql } from "kysely";

const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

/** Lets the aggregator read the start of the kept rows: an event from before could be counted twice. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create policy read_by_aggregator on retention for select to ${AGGREGATOR_ROLE} using (true)`,
    sql`grant select on retention to ${AGGREGATOR_ROLE}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
