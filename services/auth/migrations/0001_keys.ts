import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/**
 * Accounts, their namespaces and operator credentials; keys and their secrets.
 *
 * Superseded in part: 0004 makes namespace names unique among those that are not deleted only; 0006 gives operator credentials
 * the whole node, another primary key, and secrets in a table of their own.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table accounts (
      id text collate "C" primary key,
      name text collate "C" not null unique,
      created_at timestamptz not null
    )`,
    // Superseded by 0004: its unique constraint becomes a partial index of the same name.
    sql`create table namespaces (
      id text collate "C" primary key,
      account_id text collate "C" not null references accounts (id),
      name text collate "C" not null,
      created_at timestamptz not null,
      constraint namespaces_account_name_key unique (account_id, name)
    )`,
    // Superseded by 0006: primary key, nullable account, and no columns for the secret.
    sql`create table operators (
      account_id text collate "C" not null references accounts (id),
      id text collate "C" not null,
      name text not null,
      lookup_id text collate "C" not null,
      secret_hash bytea not null check (length(secret_hash) = 32),
      pepper_id text not null,
      created_at timestamptz not null,
      revoked_at timestamptz,
      primary key (account_id, id)
    )`,
    sql`create index operators_lookup on operators (lookup_id)`,
    sql`create table keys (
      namespace_id text collate "C" not null references namespaces (id),
      id text collate "C" not null,
      name text not null,
      prefix text not null,
      scopes text[] not null check (cardinality(scopes) > 0),
      -- From the root key down to this one: fixed at mint, so that nothing walks the tree afterwards.
      lineage text[] not null check (lineage[cardinality(lineage)] = id),
      parent_id text collate "C" generated always as (lineage[cardinality(lineage) - 1]) stored,
      created_at timestamptz not null,
      expires_at timestamptz,
      last_used_at timestamptz,
      revoked_at timestamptz,
      primary key (namespace_id, id),
      foreign key (namespace_id, parent_id) references keys (namespace_id, id)
    )`,
    // A table apart from the keys, because a rotated key has several secrets until the graces end.
    sql`create table key_secrets (
      namespace_id text collate "C" not null,
      lookup_id text collate "C" not null,
      key_id text collate "C" not null,
      secret_hash bytea not null check (length(secret_hash) = 32),
      pepper_id text not null,
      primary key (namespace_id, lookup_id),
      foreign key (namespace_id, key_id) references keys (namespace_id, id)
    )`,
    // A token is looked up before its namespace is known. The id is 128 random bits, so it needs no constraint to be unique.
    sql`create index key_secrets_lookup on key_secrets (lookup_id)`,
    ...isolateBy("accounts", ROLE, { setting: "account_id", column: "id" }),
    ...isolateBy("namespaces", ROLE, { setting: "account_id", column: "account_id" }),
    ...isolateBy("namespaces", ROLE, { setting: "namespace_id", column: "id" }),
    ...isolateBy("operators", ROLE, { setting: "account_id", column: "account_id" }),
    // Superseded by 0006: the lookup id moves to operator_secrets.
    ...isolateBy("operators", ROLE, { setting: "lookup_id", column: "lookup_id" }),
    ...isolateBy("keys", ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...isolateBy("key_secrets", ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...isolateBy("key_secrets", ROLE, { setting: "lookup_id", column: "lookup_id" }),
    sql`grant select, insert on accounts, namespaces, operators, keys, key_secrets to ${sql.id(ROLE)}`,
    sql`grant update (last_used_at, revoked_at) on keys to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
