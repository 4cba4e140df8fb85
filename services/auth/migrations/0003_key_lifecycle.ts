import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/** Changes of a key after its mint: name, scopes, expiry and tokens; and the reason of its revocation. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table keys add column revoked_reason text,
          add constraint keys_revoked_reason_check check (revoked_reason is null or revoked_at is not null)`,
    // Null for the token that a key has now; set when a rotation replaces it.
    sql`alter table key_secrets add column expires_at timestamptz`,
    sql`create unique index key_secrets_current on key_secrets (namespace_id, key_id) where expires_at is null`,
    sql`grant update (name, prefix, scopes, expires_at, revoked_reason) on keys to ${sql.id(ROLE)}`,
    sql`grant update (expires_at) on key_secrets to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
