import { AUTH_ACTIONS, auditChanges, labelActions } from "@routeplane/audit";
import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";
import { ACCOUNT_OF_NAMESPACE } from "./0006_operators.ts";

const ROLE = "routeplane_auth";

/** Session credentials of people, the codes by which a browser signs in, and the keys as which sessions of operators act. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...SESSIONS,
    ...SIGN_IN_CODES,
    ...CONSOLE_KEYS,
    ...labelActions(AUTH_ACTIONS, ACCOUNT_OF_NAMESPACE),
  ];
  for (const statement of statements) await statement.execute(db);
}

const SESSIONS = [
  sql`create table sessions (
    -- Empty for a session in no namespace.
    namespace_id text collate "C" not null,
    id text collate "C" not null,
    -- Owner of the namespace; in none, the account to which the operator credential is limited.
    account_id text collate "C",
    -- Key that the session acts as; null in no namespace.
    key_id text collate "C",
    -- Operator credential that opened it; null if the key did.
    operator_id text collate "C" references operators (id),
    name text not null,
    scopes text[] not null,
    -- Operator scopes that an exchange passes on; null if there can be none.
    operator_scopes text[],
    lookup_id text collate "C" not null,
    secret_hash bytea not null check (length(secret_hash) = 32),
    pepper_id text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    ended_by text check ((ended_by is null) = (revoked_at is null)),
    address text not null,
    primary key (namespace_id, id),
    foreign key (namespace_id, key_id) references keys (namespace_id, id),
    check ((namespace_id = '') = (key_id is null)),
    check (key_id is not null or operator_id is not null)
  )`,
  sql`create index sessions_lookup on sessions (lookup_id)`,
  sql`create index sessions_key on sessions (namespace_id, key_id)`,
  sql`create index sessions_operator on sessions (operator_id)`,
  sql`create index sessions_account on sessions (account_id, id)`,
  sql`create index sessions_id on sessions (id)`,
  sql`create index sessions_expiry on sessions (expires_at)`,
  ...isolateBy("sessions", ROLE, { setting: "namespace_id", column: "namespace_id" }),
  ...isolateBy("sessions", ROLE, { setting: "account_id", column: "account_id" }),
  ...isolateBy("sessions", ROLE, { setting: "lookup_id", column: "lookup_id" }),
  ...openToNode("sessions", ROLE),
  sql`grant select, insert, delete, update (revoked_at, ended_by) on sessions to ${sql.id(ROLE)}`,
  // Nothing is announced when a row is deleted: the session has expired, which its principal says.
  sql`create trigger announce_change after update on sessions for each row
      when (old.* is distinct from new.*) execute function announce_change('id')`,
  auditChanges(
    "sessions",
    "session",
    ["key_id", "operator_id", "scopes", "operator_scopes", "expires_at", "revoked_at", "ended_by"],
    { events: "insert or update", when: sql`true` },
  ),
];

const SIGN_IN_CODES = [
  sql`create table sign_in_codes (
    -- Empty for a code of an operator credential, for a session in no namespace.
    namespace_id text collate "C" not null,
    code_hash bytea not null check (length(code_hash) = 32),
    account_id text collate "C",
    -- Key that made the code; null if an operator credential did.
    key_id text collate "C",
    operator_id text collate "C" references operators (id),
    expires_at timestamptz not null,
    primary key (namespace_id, code_hash),
    foreign key (namespace_id, key_id) references keys (namespace_id, id),
    check ((key_id is null) <> (operator_id is null)),
    check (key_id is null or namespace_id <> '')
  )`,
  sql`create index sign_in_codes_hash on sign_in_codes (code_hash)`,
  sql`create index sign_in_codes_key on sign_in_codes (namespace_id, key_id)`,
  sql`create index sign_in_codes_operator on sign_in_codes (operator_id)`,
  sql`create index sign_in_codes_expiry on sign_in_codes (expires_at)`,
  ...isolateBy("sign_in_codes", ROLE, { setting: "namespace_id", column: "namespace_id" }),
  ...isolateBy("sign_in_codes", ROLE, { setting: "account_id", column: "account_id" }),
  ...openToNode("sign_in_codes", ROLE),
  // The update is for locks alone, which a removal of expired rows needs to skip those of others.
  sql`grant select, insert, delete, update (expires_at) on sign_in_codes to ${sql.id(ROLE)}`,
];

const CONSOLE_KEYS = [
  sql`create table console_keys (
    namespace_id text collate "C" not null,
    operator_id text collate "C" not null references operators (id),
    key_id text collate "C" not null,
    primary key (namespace_id, operator_id),
    -- Checked at the commit: the row is taken first, so that of several transactions one mints the key.
    foreign key (namespace_id, key_id) references keys (namespace_id, id) deferrable initially deferred
  )`,
  ...isolateBy("console_keys", ROLE, { setting: "namespace_id", column: "namespace_id" }),
  sql`grant select, insert, update (key_id) on console_keys to ${sql.id(ROLE)}`,
];
