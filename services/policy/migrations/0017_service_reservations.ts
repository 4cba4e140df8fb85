import { type Kysely, sql } from "kysely";

/** Service credential by which a reservation was made; null for one of a gateway, whose requests alone have rows in the request log. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table holds add column service_credential_id text collate "C"`.execute(db);
}
