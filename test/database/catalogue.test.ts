import { cloneDatabase } from "@routeplane/testing";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { CATALOGUE_RULES, PREAMBLE } from "./catalogue-rules.ts";

/**
 * Exceptions from the rules of isolation, with their reasons; an exception that no rule reports also fails the test. The rules are promise
 * 1 in Postgres: a query without a filter returns no row of another namespace, from any table.
 */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "auth.accounts: has no namespace_id that is not null": "accounts own namespaces",
  "auth.accounts_pkey: is unique and does not start with namespace_id": "an account is what isolates itself",
  "auth.accounts_name_key: is unique and does not start with namespace_id":
    "only operators of the whole node name accounts",
  "auth.namespaces: has no namespace_id that is not null": "a namespace's id is its namespace_id",
  "auth.namespaces_pkey: is unique and does not start with namespace_id": "a namespace's id is its namespace_id",
  "auth.namespaces_account_name_key: is unique and does not start with namespace_id": "unique within the account",
  "auth.namespaces_account_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a namespace to the account above it",
  "auth.operators: has no namespace_id that is not null": "operators belong to the node",
  "auth.operators_pkey: is unique and does not start with namespace_id": "operators belong to the node",
  "auth.operators_first: is unique and does not start with namespace_id": "the node has one first operator credential",
  "auth.operators_account_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from an operator to the account that it is limited to",
  "auth.operators_parent_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from an operator to the one that minted it",
  "auth.operator_secrets: has no namespace_id that is not null": "operators belong to the node",
  "auth.operator_secrets_pkey: is unique and does not start with namespace_id": "within one operator credential",
  "auth.operator_secrets_current: is unique and does not start with namespace_id": "within one operator credential",
  "auth.operator_secrets_operator_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a secret to its operator",
  "auth.operator_secrets_account_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from an operator's secret to the account that the operator is limited to",
  "auth.service_credentials: has no namespace_id that is not null": "one may be bound to several namespaces",
  "auth.service_credentials_pkey: is unique and does not start with namespace_id": "belong to the node or an account",
  "auth.service_credentials_name: is unique and does not start with namespace_id":
    "unique within the node or the account",
  "auth.service_credentials_account_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a service credential to the account of the operator that minted it",
  "auth.service_credential_secrets: has no namespace_id that is not null": "belong to a service credential",
  "auth.service_credential_secrets_pkey: is unique and does not start with namespace_id":
    "within one service credential",
  "auth.service_credential_secrets_current: is unique and does not start with namespace_id":
    "within one service credential",
  "auth.service_credential_secrets_service_credential_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a secret to its service credential",
  "auth.service_credential_secrets_account_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a secret to the account of its service credential",
  'auth.service_credential_secrets.pepper_id: is an id that is not collated "C"':
    "names an entry of the configuration; never sorted",
  "auth.sessions_operator_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a session to the operator that opened it",
  "auth.sign_in_codes_operator_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a sign-in code to the operator that made it",
  "auth.console_keys_operator_id_fkey: is a reference that does not start with namespace_id on both sides":
    "leads from a key to the operator whose sessions act as it",
  'auth.sessions.pepper_id: is an id that is not collated "C"': "names an entry of the configuration; never sorted",
  "auth.changes: has no namespace_id that is not null": "one row that counts changes and holds nothing of any tenant",
  "auth.changes_pkey: is unique and does not start with namespace_id": "keeps that row the only one",
  "auth.changes/counted_by_owner: is for everyone, or for a role that is no process's":
    "the owner's trigger counts, and no process can",
  "auth.changes/counted_by_owner: lets rows through that the transaction's setting does not name": "of the one row",
  "auth.changes/read_by_process: lets rows through that the transaction's setting does not name": "of the one row",
  "policy.changes: has no namespace_id that is not null": "one row that counts changes and holds nothing of any tenant",
  "policy.changes_pkey: is unique and does not start with namespace_id": "keeps that row the only one",
  "policy.changes/counted_by_owner: is for everyone, or for a role that is no process's":
    "the owner's trigger counts, and no process can",
  "policy.changes/counted_by_owner: lets rows through that the transaction's setting does not name": "of the one row",
  "policy.changes/read_by_process: lets rows through that the transaction's setting does not name": "of the one row",
  "policy.counters/owner_reads: is for everyone, or for a role that is no process's":
    "the owner's function names namespaces, and no process can",
  "policy.counters/owner_reads: lets rows through that the transaction's setting does not name":
    "all of them, in a transaction of the whole node",
  "policy.holds/owner_reads: is for everyone, or for a role that is no process's":
    "the owner's function names namespaces, and no process can",
  "policy.holds/owner_reads: lets rows through that the transaction's setting does not name":
    "all of them, in a transaction of the whole node",
  "policy.gateway_sessions: has no namespace_id that is not null": "processes of gateways, and nothing of any tenant",
  "policy.gateway_sessions_pkey: is unique and does not start with namespace_id": "a gateway serves every namespace",
  "policy.gateway_sessions/used_by_process: lets rows through that the transaction's setting does not name":
    "grants of any namespace lock the session",
  "policy.gateway_sessions/read_by_owner: is for everyone, or for a role that is no process's":
    "the owner's function keeps the reservations of sessions",
  "policy.gateway_sessions/read_by_owner: lets rows through that the transaction's setting does not name":
    "processes of gateways, and nothing of any tenant",
  ...Object.fromEntries(
    ["slices", "limit_sets", "session_namespaces"].flatMap((table) => [
      [
        `policy.${table}/owner_reads: is for everyone, or for a role that is no process's`,
        "the owner's functions add up amounts and name namespaces, and no process can",
      ],
      [
        `policy.${table}/owner_reads: lets rows through that the transaction's setting does not name`,
        "all of them, in a transaction of the whole node",
      ],
    ]),
  ),
  'auth.operator_secrets.pepper_id: is an id that is not collated "C"':
    "names an entry of the configuration; never sorted",
  'auth.key_secrets.pepper_id: is an id that is not collated "C"': "names an entry of the configuration; never sorted",
  "usage.requests/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.requests/owner_reads_and_prunes: is for everyone, or for a role that is no process's":
    "the owner's functions name namespaces and drop what is old, and no process can",
  "usage.requests/owner_reads_and_prunes: lets rows through that the transaction's setting does not name":
    "all of them, in a transaction of the whole node",
  "usage.installation: has no namespace_id that is not null": "one row that holds an id of the node",
  "usage.installation_pkey: is unique and does not start with namespace_id": "keeps that row the only one",
  "usage.log_position: has no namespace_id that is not null": "one row that holds a position of the stream of the node",
  "usage.log_position_pkey: is unique and does not start with namespace_id": "keeps that row the only one",
  "usage.aggregators: has no namespace_id that is not null": "holds processes and nothing of any tenant",
  "usage.aggregators_pkey: is unique and does not start with namespace_id": "a process serves every namespace",
  "usage.retention: has no namespace_id that is not null": "one row that holds a time and nothing of any tenant",
  "usage.retention_pkey: is unique and does not start with namespace_id": "keeps that row the only one",
  "usage.retention/written_by_owner: is for everyone, or for a role that is no process's":
    "the owner's function writes it, and no process can",
  "usage.retention/written_by_owner: lets rows through that the transaction's setting does not name": "of the one row",
  "usage.retention/read_by_process: lets rows through that the transaction's setting does not name": "of the one row",
  "usage.retention/read_by_aggregator: lets rows through that the transaction's setting does not name":
    "of the one row",
  "usage.dead_letters/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer sets aside for every namespace",
  "usage.rollups_hourly/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.rollups_daily/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.totals/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.unlogged_denials/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.unlogged_denials_hourly/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.latencies_hourly/aggregator_writes: lets rows through that the transaction's setting does not name":
    "the one writer writes for every namespace",
  "usage.unlogged_denials/owner_prunes: is for everyone, or for a role that is no process's":
    "the owner's function drops what is old, and no process can",
  "usage.unlogged_denials/owner_prunes: lets rows through that the transaction's setting does not name":
    "all of them, in a transaction of the whole node",
  ...Object.fromEntries(
    ["requests", "rollups_hourly", "rollups_daily", "totals", "unlogged_denials_hourly", "latencies_hourly"].flatMap(
      (table) => [
        [
          `usage.${table}_default/owner_prunes: is for everyone, or for a role that is no process's`,
          "the owner's functions drop or move rows without a month of their own, and no process can",
        ],
        [
          `usage.${table}_default/owner_prunes: lets rows through that the transaction's setting does not name`,
          "all of them, in a transaction of the whole node",
        ],
      ],
    ),
  ),
};

let client: pg.Client;
const clone = await cloneDatabase();

beforeAll(async () => {
  client = new pg.Client({ connectionString: clone.adminUrl });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await clone.drop();
});

/** Faults that the rules report after `statements`, all of which are rolled back, roles included. */
async function faultsAfter(...statements: readonly string[]): Promise<readonly string[]> {
  await client.query("begin");
  try {
    for (const statement of statements) await client.query(statement);
    await client.query(PREAMBLE);
    const faults = new Set<string>();
    for (const { query } of CATALOGUE_RULES) {
      const { rows } = await client.query<{ object: string; fault: string }>(query);
      for (const { object, fault } of rows) faults.add(`${object}: ${fault}`);
    }
    return [...faults].toSorted();
  } finally {
    await client.query("rollback");
  }
}

const beyondExceptions = (faults: readonly string[]) => faults.filter((fault) => !(fault in EXCEPTIONS));

describe("the database", () => {
  it("breaks no rule of isolation without a stated reason", async () => {
    const { rows } = await client.query("select from pg_tables where schemaname in ('auth', 'policy', 'usage')");
    expect(rows.length).toBeGreaterThan(15);
    expect(await faultsAfter()).toEqual(Object.keys(EXCEPTIONS).toSorted());
  });

  it("does not grant CONNECT to everyone", async () => {
    const { template } = inject("testServers").postgres;
    const { rows } = await client.query(
      `select g.privilege_type from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) g
       where datname = $1 and g.grantee = 0`,
      [template],
    );
    expect(rows).toEqual([]);
  });
});

describe("the rules report", () => {
  const GOOD = `create table policy.planted (namespace_id text collate "C" not null, id text collate "C" not null,
    amount_nano bigint not null check (amount_nano >= 0), primary key (namespace_id, id))`;
  const ISOLATED = [
    GOOD,
    "alter table policy.planted owner to routeplane_policy_owner",
    "alter table policy.planted enable row level security, force row level security",
  ];
  const CONDITION = "namespace_id = (select nullif(current_setting('routeplane.namespace_id', true), ''))";

  it("nothing for a table that follows them", async () => {
    const policy = `create policy p on policy.planted to routeplane_policy using (${CONDITION}) with check (${CONDITION})`;
    const grant = "grant select, insert, delete, update (amount_nano) on policy.planted to routeplane_policy";
    expect(beyondExceptions(await faultsAfter(...ISOLATED, policy, grant))).toEqual([]);
  });

  it("every fault of a table that ignores them", async () => {
    const added = "create table usage.planted (id text primary key, price_usd numeric, note text unique)";
    expect(beyondExceptions(await faultsAfter(added))).toEqual([
      'usage.planted.id: is an id that is not collated "C"',
      "usage.planted.price_usd: is money or a count, and not a whole number that is checked to be at least 0",
      "usage.planted: belongs to postgres, not to the owner of its schema",
      "usage.planted: has no forced row-level security",
      "usage.planted: has no namespace_id that is not null",
      "usage.planted_note_key: is unique and does not start with namespace_id",
      "usage.planted_pkey: is unique and does not start with namespace_id",
    ]);
  });

  const FIRST = "policy.planted";
  it.each<[string, string, string]>([
    ["row-level security that is not forced", "alter table policy.planted no force row level security", FIRST],
    [
      "a column of money without its check",
      "alter table policy.planted add spent_micro bigint",
      `${FIRST}.spent_micro`,
    ],
    [
      "a check that is always true",
      "alter table policy.planted add spent_micro bigint check (spent_micro >= 0 or true)",
      `${FIRST}.spent_micro`,
    ],
    ["a unique index", "create unique index planted_x on policy.planted (id, namespace_id)", "policy.planted_x"],
    [
      "a reference by id alone",
      "alter table policy.planted add unique (id), add other text, add constraint planted_fk foreign key (other) references policy.planted (id)",
      "policy.planted_fk",
    ],
    ["a policy for everyone", `create policy p on policy.planted using (${CONDITION})`, `${FIRST}/p`],
    [
      "a policy for the owner",
      `create policy p on policy.planted to routeplane_policy_owner using (${CONDITION})`,
      `${FIRST}/p`,
    ],
    [
      "a policy without a condition",
      "create policy p on policy.planted to routeplane_policy using (true)",
      `${FIRST}/p`,
    ],
    [
      "a policy with an alternative to its condition",
      `create policy p on policy.planted to routeplane_policy using (${CONDITION} or id = 'x')`,
      `${FIRST}/p`,
    ],
    [
      "a policy that checks less than it shows",
      `create policy p on policy.planted to routeplane_policy using (${CONDITION}) with check (true)`,
      `${FIRST}/p`,
    ],
    ["a grant to everyone", "grant select on policy.planted to public", FIRST],
    ["a grant of one column to everyone", "grant select (id) on policy.planted to public", `${FIRST}.id`],
    ["TRUNCATE, to which no policy applies", "grant truncate on policy.planted to routeplane_policy", FIRST],
    ["a privilege with grant option", "grant select on policy.planted to routeplane_policy with grant option", FIRST],
    ["a grant to another service", "grant select on policy.planted to routeplane_auth", FIRST],
    ["another service in the schema", "grant usage on schema policy to routeplane_usage", "schema policy"],
    ["a process with CREATE", "grant create on schema policy to routeplane_policy", "schema policy"],
    ["a grant on a partition", "grant select on usage.requests_default to routeplane_usage", "usage.requests_default"],
    [
      "a partition without row-level security",
      "create table usage.requests_y1999m01 partition of usage.requests for values from ('1999-01-01Z') to ('1999-02-01Z')",
      "usage.requests_y1999m01",
    ],
    [
      "a grant on the bookkeeping",
      "grant insert on policy.kysely_migration to routeplane_policy",
      "policy.kysely_migration",
    ],
    [
      "a grant in advance",
      "alter default privileges for role routeplane_policy_owner in schema policy grant select on tables to routeplane_policy",
      "routeplane_policy_owner",
    ],
    ["a view that reads as its owner", "create view policy.seen as select * from policy.planted", "policy.seen"],
    ["a materialised view", "create materialized view policy.seen as select 1 as one", "policy.seen"],
    [
      "a function that runs as its owner with the caller's path",
      "create function policy.f() returns int language sql security definer return 1",
      "policy.f",
    ],
    ["a function for everyone", "create function policy.f() returns int language sql return 1", "policy.f"],
    ["a schema that nobody provisioned", "create schema loose create table t (id int)", "loose.t"],
    ["a process that bypasses", "alter role routeplane_policy bypassrls", "routeplane_policy"],
    ["an owner that is superuser", "alter role routeplane_policy_owner superuser", "routeplane_policy_owner"],
    ["a process that becomes the owner", "grant routeplane_policy_owner to routeplane_policy", "routeplane_policy"],
    ["a process that owns", "alter table policy.planted owner to routeplane_policy", "routeplane_policy"],
  ])("%s", async (_case, statement, object) => {
    const objects = beyondExceptions(await faultsAfter(...ISOLATED, statement)).map((fault) => fault.split(": ")[0]);
    expect(objects).toContain(object);
  });
});
