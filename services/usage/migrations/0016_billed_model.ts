import { type Kysely, sql } from "kysely";

/** The billed model, if it differs from the requested one, and the price per request besides that of tokens; otherwise null. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column billed_model text,
      add column request_price_pico_usd bigint check (request_price_pico_usd >= 0)`,
    sql`grant update (billed_model, request_price_pico_usd) on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
