import { type Kysely, sql } from "kysely";

/** The binding and the rule of a denial, and the denials that bindings in shadow mode would have made. */
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
