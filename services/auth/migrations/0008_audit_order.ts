import { type Kysely, sql } from "kysely";

/** An index for an operator of the whole node, who reads the audit log of every namespace, newest first. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index audit_entries_id on audit_entries (id)`.execute(db);
}
