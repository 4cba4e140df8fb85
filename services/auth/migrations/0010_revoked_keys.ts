import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/**
 * Revocations that the policy service has not acknowledged yet: it removes what is bound to the keys. A trigger adds a row in the
 * transaction of the revocation, with its origin, so that none is missed whatever dies; keys that are revoked already are added
 * here.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table revoked_keys (
      namespace_id text collate "C" not null,
      key_id text collate "C" not null,
      revoked_at timestamptz not null,
      -- As the audit log has it; empty if it is not recorded.
      origin jsonb not null,
      primary key (namespace_id, key_id),
      foreign key (namespace_id, key_id) references keys (namespace_id, id)
    )`,
    sql`alter table keys no force row level security`,
    sql`insert into revoked_keys select namespace_id, id, revoked_at, '{}' from keys where revoked_at is not null`,
    sql`alter table keys force row level security`,
    ...isolateBy("revoked_keys", ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...openToNode("revoked_keys", ROLE),
    sql`grant select, insert, delete on revoked_keys to ${sql.id(ROLE)}`,
    sql`create function record_revocation() returns trigger language plpgsql as $body$
      begin
        insert into revoked_keys (namespace_id, key_id, revoked_at, origin) values (
          new.namespace_id, new.id, new.revoked_at,
          coalesce(nullif(current_setting('routeplane.origin', true), ''), '{}')::jsonb
        ) on conflict do nothing;
        return null;
      end
      $body$`,
    sql`revoke all on function record_revocation() from public`,
    sql`create trigger revocation after update of revoked_at on keys for each row
      when (old.revoked_at is null and new.revoked_at is not null) execute function record_revocation()`,
  ];
  for (const statement of statements) await statement.execute(db);
}
