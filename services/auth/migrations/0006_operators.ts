import { auditChanges, recordChange } from "@routeplane/audit";
import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";

/**
 * Operator credentials belong to the node, with scopes, a lineage, an expiry, secrets that can be rotated, and optionally a limit
 * to one account. The one that the node was set up with becomes the first, with every scope and no limit.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...OPERATORS,
    ...SECRETS,
    ...VISIBILITY,
    sql`grant update (prefix, revoked_at, revoked_reason) on operators to ${sql.id(ROLE)}`,
    sql`grant select, insert on operator_secrets to ${sql.id(ROLE)}`,
    sql`grant update (expires_at) on operator_secrets to ${sql.id(ROLE)}`,
    sql`create trigger announce_change after update or delete on operator_secrets for each row
        execute function announce_change('operator_id')`,
    sql`drop trigger audit on operators`,
    auditChanges("operators", "operator", AUDITED),
    // An operator can belong to no account: its changes in a namespace are recorded for the account of that namespace.
    // Superseded by 0009, which labels actions.
    recordChange({ accountOf: ACCOUNT_OF_NAMESPACE }),
  ];
  for (const statement of statements) await statement.execute(db);
}

/** SQL for the account of a row that lies in a namespace, by the JSON `any_row`. */
export const ACCOUNT_OF_NAMESPACE = sql`(select n.account_id from namespaces n where n.id = any_row ->> 'namespace_id')`;

const AUDITED = ["name", "prefix", "scopes", "parent_id", "account_id", "expires_at", "revoked_at", "revoked_reason"];

const OPERATORS = [
  sql`alter table operators
      drop constraint operators_pkey,
      add primary key (id),
      alter column account_id drop not null,
      add column prefix text,
      add column scopes text[] check (cardinality(scopes) > 0),
      -- From the node's first one down to this one: fixed at mint, so that nothing walks the tree afterwards.
      add column lineage text[] check (lineage[cardinality(lineage)] = id),
      add column expires_at timestamptz,
      add column revoked_reason text,
      add constraint operators_revoked_reason_check check (revoked_reason is null or revoked_at is not null)`,
  // Row-level security binds the owner too, and this change has no actor to audit.
  sql`alter table operators no force row level security, disable trigger audit`,
  sql`update operators set account_id = null, prefix = 'rpo_live_' || left(lookup_id, 8), lineage = array[id],
      scopes = '{accounts:*,audit:*,keys:*,namespaces:*,operators:*,usage:*}'`,
  sql`alter table operators
      alter column prefix set not null,
      alter column scopes set not null,
      alter column lineage set not null,
      add column parent_id text collate "C" generated always as (lineage[cardinality(lineage) - 1]) stored
        references operators (id)`,
  // The one credential from which all others descend, and which therefore none of them can revoke.
  sql`create unique index operators_first on operators ((cardinality(lineage))) where cardinality(lineage) = 1`,
];

const SECRETS = [
  sql`create table operator_secrets (
    operator_id text collate "C" not null references operators (id),
    account_id text collate "C" references accounts (id),
    lookup_id text collate "C" not null,
    secret_hash bytea not null check (length(secret_hash) = 32),
    pepper_id text not null,
    -- Null for the token that a credential has now; set when a rotation replaces it.
    expires_at timestamptz,
    primary key (operator_id, lookup_id)
  )`,
  sql`insert into operator_secrets (operator_id, lookup_id, secret_hash, pepper_id)
      select id, lookup_id, secret_hash, pepper_id from operators`,
  sql`create index operator_secrets_lookup on operator_secrets (lookup_id)`,
  sql`create unique index operator_secrets_current on operator_secrets (operator_id) where expires_at is null`,
  sql`drop policy routeplane_auth_by_lookup_id on operators`,
  sql`alter table operators drop column lookup_id, drop column secret_hash, drop column pepper_id`,
  sql`alter table operators force row level security, enable trigger audit`,
];

const VISIBILITY = [
  ...isolateBy("operator_secrets", ROLE, { setting: "account_id", column: "account_id" }),
  ...isolateBy("operator_secrets", ROLE, { setting: "lookup_id", column: "lookup_id" }),
  ...["accounts", "namespaces", "operators", "operator_secrets", "audit_entries"].flatMap((table) =>
    openToNode(table, ROLE),
  ),
];
