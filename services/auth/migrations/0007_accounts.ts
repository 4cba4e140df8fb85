import { type Kysely, sql } from "kysely";

/** Accounts can be renamed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`grant update (name) on accounts to routeplane_auth`.execute(db);
}
