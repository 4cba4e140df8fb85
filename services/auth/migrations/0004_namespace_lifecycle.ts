import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/** Namespaces can be suspended, deleted and restored. A deleted namespace does not keep its name. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table namespaces add column suspended_at timestamptz, add column deleted_at timestamptz`,
    sql`alter table namespaces drop constraint namespaces_account_name_key`,
    sql`create unique index namespaces_account_name_key on namespaces (account_id, name) where deleted_at is null`,
    sql`grant update (name, suspended_at, deleted_at) on namespaces to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
