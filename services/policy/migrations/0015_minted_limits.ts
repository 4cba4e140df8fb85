import { type Kysely, sql } from "kysely";

/**
 * Lineage of the key that was minted with a policy as its limits; null for any other policy. Once such a key has ended and nothing is
 * bound to the policy, it is removed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table policies add column minted_for text[] collate "C"`.execute(db);
}
