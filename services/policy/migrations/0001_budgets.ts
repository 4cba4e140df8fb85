import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_policy";

const TABLES = ["policies", "bindings", "budget_counters", "budget_buckets", "holds"] as const;

/**
 * Policies and their bindings; spent and reserved amounts for each binding of a budget; reservations of requests (`holds`).
 *
 * Superseded in part: 0003 permits four kinds of policy; 0011 makes names unique in another form; 0006 replaces the counters and buckets of budgets by one table
 * `counters`, and changes the primary key and `binding_ids` of `holds`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Superseded by 0003: the check of the kind.
    sql`create table policies (
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      name text collate "C" not null,
      kind text collate "C" not null check (kind in ('budget')),
      spec jsonb not null,
      created_at timestamptz not null,
      disabled_at timestamptz,
      primary key (namespace_id, id),
      -- Superseded by 0011: names are unique in the form in which they are compared.
      constraint policies_name_key unique (namespace_id, name)
    )`,
    sql`create table bindings (
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      policy_id text collate "C" not null,
      principal_type text collate "C" not null check (principal_type in ('namespace', 'api_key')),
      principal_id text collate "C" not null,
      created_at timestamptz not null,
      primary key (namespace_id, id),
      -- In this order it also finds what applies to a lineage.
      constraint bindings_principal_policy_key unique (namespace_id, principal_id, policy_id),
      foreign key (namespace_id, policy_id) references policies (namespace_id, id)
    )`,
    // The row that admissions under a budget lock; a table apart from the bindings, so that nothing else waits for them.
    // Superseded by 0006: both tables of budgets are dropped.
    sql`create table budget_counters (
      namespace_id text collate "C" not null,
      binding_id text collate "C" not null,
      reserved_nano bigint not null default 0 check (reserved_nano >= 0),
      primary key (namespace_id, binding_id),
      foreign key (namespace_id, binding_id) references bindings (namespace_id, id)
    )`,
    sql`create table budget_buckets (
      namespace_id text collate "C" not null,
      binding_id text collate "C" not null,
      bucket_start timestamptz not null,
      spent_nano bigint not null check (spent_nano >= 0),
      primary key (namespace_id, binding_id, bucket_start),
      foreign key (namespace_id, binding_id) references budget_counters (namespace_id, binding_id)
    )`,
    // Superseded by 0006: primary key, and `binding_ids` is called `budget_binding_ids`.
    sql`create table holds (
      namespace_id text collate "C" not null,
      request_id text collate "C" not null,
      -- Fixed when it opens: a binding made later neither owes nor gets back anything of it.
      binding_ids text[] not null,
      amount_nano bigint not null check (amount_nano >= 0),
      output_tokens_max bigint not null check (output_tokens_max >= 0),
      expires_at timestamptz not null,
      state text collate "C" not null check (state in ('open', 'settled', 'voided', 'expired')),
      -- When it last left a state; with state 'expired' this is when the amount was charged.
      closed_at timestamptz check ((closed_at is null) = (state = 'open')),
      cost_nano bigint check (cost_nano >= 0),
      primary key (namespace_id, request_id)
    )`,
    sql`create index holds_open on holds (namespace_id, expires_at) where state = 'open'`,
    sql`create index holds_closed on holds (namespace_id, expires_at) where state <> 'open'`,
    ...TABLES.flatMap((table) => isolateBy(table, ROLE, { setting: "namespace_id", column: "namespace_id" })),
    sql`grant select, insert on policies, bindings, budget_counters, budget_buckets, holds to ${sql.id(ROLE)}`,
    sql`grant update (reserved_nano) on budget_counters to ${sql.id(ROLE)}`,
    sql`grant update (spent_nano), delete on budget_buckets to ${sql.id(ROLE)}`,
    sql`grant update (state, closed_at, cost_nano), delete on holds to ${sql.id(ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
