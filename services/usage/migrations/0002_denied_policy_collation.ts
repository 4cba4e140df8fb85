import { type Kysely, sql } from "kysely";

/** The one id that was not compared byte by byte like every other. Rewrites nothing: no index holds it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table requests alter column denied_by_policy_id type text collate "C"`.execute(db);
}
