import { openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

/** Opens the audit log of every namespace to an operator of the whole node, newest first. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...openToNode("audit_entries", "routeplane_policy"),
    sql`create index audit_entries_id on audit_entries (id)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
