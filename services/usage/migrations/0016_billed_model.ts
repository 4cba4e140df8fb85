import { type Kysely, sql } from "kysely";

/** The model that was billed, where it is another than was asked for, and the price of a request beside its tokens; else null. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column billed_model text,
      add column request_price_pico_usd bigint check (request_price_pico_usd >= 0)`,
    sql`grant update (billed_model, request_price_pico_usd) on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
