import { type Kysely, sql } from "kysely";

/**
 * Attempts of a request to get an answer; null where there was at most one, as for every earlier request. A settlement replaces
 * the model and the provider, because another one than the requested may have answered.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests add column attempts jsonb check (jsonb_typeof(attempts) = 'array')`,
    sql`grant update (attempts, model, provider) on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
