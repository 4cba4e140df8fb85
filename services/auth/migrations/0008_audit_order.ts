import { type Kysely, sql } from "kysely";

/** An operator of the whole node reads the log of every namespace, newest first. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index audit_entries_id on audit_entries (id)`.execute(db);
}
