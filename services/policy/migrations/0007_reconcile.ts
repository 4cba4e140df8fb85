import { type Kysely, sql } from "kysely";

const ROLE = sql.id("routeplane_policy");
const OWNER = sql.id("routeplane_policy_owner");

/** Reconciliation can find the namespaces that have reservations or counters, and sees nothing else across namespaces. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...["holds", "counters"].map(
      (table) => sql`create policy owner_reads on ${sql.table(table)} for select to ${OWNER}
        using ('this' = (select nullif(current_setting('routeplane.node', true), '')))`,
    ),
    sql`
    create function next_limited_namespace(after text) returns text
    language sql stable security definer set search_path = policy, pg_temp as $body$
      select min(namespace_id) from (
        (select namespace_id from holds where namespace_id > after order by namespace_id limit 1)
        union all
        (select namespace_id from counters where namespace_id > after order by namespace_id limit 1)
      ) as next
    $body$`,
    sql`revoke all on function next_limited_namespace(text) from public`,
    sql`grant execute on function next_limited_namespace(text) to ${ROLE}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
