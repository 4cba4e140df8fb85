import { type Kysely, sql } from "kysely";

/** Compares `denied_by_policy_id` byte by byte, like every other id. Rewrites no row, because no index contains it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table requests alter column denied_by_policy_id type text collate "C"`.execute(db);
}
