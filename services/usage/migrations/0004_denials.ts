import { type Kysely, sql } from "kysely";

/** Through which binding and by which rule a request was refused, and what bindings in shadow mode would have refused it for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column denied_by_binding_id text collate "C" not null default '',
      add column denied_rule text collate "C" not null default '',
      add column shadow_denials jsonb not null default '[]' check (jsonb_typeof(shadow_denials) = 'array')`,
    sql`grant update (denied_by_binding_id, denied_rule, shadow_denials) on requests to routeplane_aggregator`,
  ];
  for (const statement of statements) await statement.execute(db);
}
