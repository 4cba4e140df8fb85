import { AUTH_ACTIONS, auditChanges, labelActions } from "@routeplane/audit";
import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";
import { ACCOUNT_OF_NAMESPACE } from "./0006_operators.ts";

const ROLE = "routeplane_auth";

/**
 * Service credentials, by which services of the operator's own verify keys and admit requests. They belong to the node, or to the
 * account to which the operator that minted them is limited.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table service_credentials (
      id text collate "C" primary key,
      account_id text collate "C" references accounts (id),
      name text not null,
      prefix text not null,
      scopes text[] not null check (cardinality(scopes) > 0),
      -- Null for all namespaces of the node: an empty list is none.
      namespace_ids text[] collate "C" check (cardinality(namespace_ids) > 0),
      created_at timestamptz not null,
      expires_at timestamptz,
      revoked_at timestamptz,
      revoked_reason text check (revoked_reason is null or revoked_at is not null),
      -- False once it is revoked, or has expired and another one took the name.
      holds_name boolean not null default true
    )`,
    sql`create unique index service_credentials_name on service_credentials ((coalesce(account_id, '')), name) where holds_name`,
    sql`create table service_credential_secrets (
      service_credential_id text collate "C" not null references service_credentials (id),
      account_id text collate "C" references accounts (id),
      lookup_id text collate "C" not null,
      secret_hash bytea not null check (length(secret_hash) = 32),
      pepper_id text not null,
      -- Null for the token that a credential has now; set when a rotation replaces it.
      expires_at timestamptz,
      primary key (service_credential_id, lookup_id)
    )`,
    sql`create index service_credential_secrets_lookup on service_credential_secrets (lookup_id)`,
    sql`create unique index service_credential_secrets_current on service_credential_secrets (service_credential_id)
        where expires_at is null`,
    ...isolateBy("service_credentials", ROLE, { setting: "account_id", column: "account_id" }),
    ...isolateBy("service_credential_secrets", ROLE, { setting: "account_id", column: "account_id" }),
    ...["service_credentials", "service_credential_secrets"].flatMap((table) => openToNode(table, ROLE)),
    ...isolateBy("service_credential_secrets", ROLE, { setting: "lookup_id", column: "lookup_id" }),
    sql`grant select, insert on service_credentials, service_credential_secrets to ${sql.id(ROLE)}`,
    sql`grant update (prefix, revoked_at, revoked_reason, holds_name) on service_credentials to ${sql.id(ROLE)}`,
    sql`grant update (expires_at) on service_credential_secrets to ${sql.id(ROLE)}`,
    sql`create trigger announce_change after update on service_credentials for each row
        when (old.* is distinct from new.*) execute function announce_change('id')`,
    sql`create trigger announce_change after update or delete on service_credential_secrets for each row
        execute function announce_change('service_credential_id')`,
    auditChanges("service_credentials", "service_credential", [
      "name",
      "prefix",
      "scopes",
      "namespace_ids",
      "account_id",
      "expires_at",
      "revoked_at",
      "revoked_reason",
    ]),
    ...labelActions(AUTH_ACTIONS, ACCOUNT_OF_NAMESPACE),
  ];
  for (const statement of statements) await statement.execute(db);
}
