import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/**
 * Keys that are or were minted with limits, from before the policy service is asked to bind the limits until it acknowledges that
 * nothing refers to the key any more. A key that never expires has a row only while it is minted: its revocation tells its end.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table limited_keys (
      namespace_id text collate "C" not null,
      key_id text collate "C" not null,
      lineage text[] collate "C" not null,
      -- Origin of the mint, as the audit log has it.
      origin jsonb not null default coalesce(nullif(current_setting('routeplane.origin', true), ''), '{}')::jsonb,
      minted_at timestamptz,
      -- Time by which the mint is completed; of a minted key, that from which it is surely expired.
      ends_at timestamptz not null,
      -- Set once: a mint that has ended is not completed.
      ended_at timestamptz,
      primary key (namespace_id, key_id)
    )`,
    sql`create index limited_keys_due on limited_keys (ends_at) where ended_at is null`,
    ...isolateBy("limited_keys", ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...openToNode("limited_keys", ROLE),
    sql`grant select, insert, update, delete on limited_keys to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
