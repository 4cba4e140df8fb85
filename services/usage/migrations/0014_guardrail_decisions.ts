import { type Kysely, sql } from "kysely";

/** Decisions of content patterns of guardrails; null where there is none, as for every earlier request. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column guardrail_decisions jsonb check (jsonb_typeof(guardrail_decisions) = 'array')`,
    sql`grant update (guardrail_decisions) on requests to ${sql.id("routeplane_aggregator")}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
