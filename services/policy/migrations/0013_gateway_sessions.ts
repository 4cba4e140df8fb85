import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = sql.id("routeplane_policy");
const OWNER = sql.id("routeplane_policy_owner");

/** Condition of a transaction of the whole node. */
const WHOLE_NODE = sql`'this' = (select nullif(current_setting('routeplane.node', true), ''))`;

/** Tables of namespaces that functions of the owner read over all of them. */
const ISOLATED = ["slices", "limit_sets", "session_namespaces"] as const;

/**
 * Gateway sessions and their slices (docs/adr/0028). A slice is one more reservation on its counter: `counters` counts it as reserved,
 * and `slices` says how much of that is whose. So a process of the previous release counts slices without knowing them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Holds nothing of any tenant. Who changes slices locks the row for share first, who ends the session for update.
    sql`create table gateway_sessions (
      id text collate "C" primary key,
      state text collate "C" not null default 'open' check (state in ('open', 'ended', 'settled', 'closed')),
      renewal bigint not null check (renewal > 0),
      -- Random number of that renewal; the 64 bits as a signed number.
      nonce bigint not null,
      -- For people.
      gateway text not null check (length(gateway) <= 200),
      opened_at timestamptz not null default now(),
      renewed_at timestamptz not null default now(),
      -- From then on it is granted nothing and not renewed: it ends by itself.
      left_at timestamptz,
      ended_at timestamptz,
      settled_at timestamptz,
      closed_at timestamptz,
      -- How often the log was asked for late requests, and when last.
      sweeps integer not null default 0 check (sweeps >= 0),
      swept_at timestamptz
    )`,
    sql`create index gateway_sessions_unclosed on gateway_sessions (state, id) where state <> 'closed'`,
    sql`alter table gateway_sessions enable row level security, force row level security`,
    sql`create policy used_by_process on gateway_sessions to ${ROLE} using (true) with check (true)`,
    sql`create policy read_by_owner on gateway_sessions for select to ${OWNER} using (true)`,
    sql`grant select, insert, update, delete on gateway_sessions to ${ROLE}`,
    // Changes only under the lock of its counter. Amounts are nano-USD or slots; sums since the session began.
    sql`create table slices (
      namespace_id text collate "C" not null,
      binding_id text collate "C" not null,
      session_id text collate "C" not null,
      dimension text collate "C" not null check (dimension in ('money', 'concurrent')),
      granted bigint not null default 0 check (granted >= 0),
      returned bigint not null default 0 check (returned >= 0),
      used bigint not null default 0 check (used >= 0),
      -- Most that the gateway lets be in doubt.
      doubt bigint not null default 0 check (doubt >= 0),
      -- Stays reserved once the session is settled, because it may have been in doubt.
      held_back bigint not null default 0 check (held_back >= 0),
      primary key (namespace_id, binding_id, session_id, dimension),
      -- Leads to the counter, whose row the writer has locked: no binding can be deleted in between.
      foreign key (namespace_id, binding_id) references counters (namespace_id, binding_id) on delete cascade
    ) with (fillfactor = 50)`,
    sql`create index slices_of_session on slices (session_id, namespace_id)`,
    sql`grant select, insert, update, delete on slices to ${ROLE}`,
    // Counters that a lineage counts on, under a number of the session: never changes.
    sql`create table limit_sets (
      namespace_id text collate "C" not null,
      session_id text collate "C" not null,
      number bigint not null check (number > 0),
      -- Bindings by what a request on the set counts on: money, requests, tokens, slots.
      budget_binding_ids text[] not null,
      request_binding_ids text[] not null,
      token_binding_ids text[] not null,
      slot_binding_ids text[] not null,
      primary key (namespace_id, session_id, number)
    )`,
    sql`grant select, insert, delete on limit_sets to ${ROLE}`,
    // Namespaces that a session has a limit set or a slice in, until it is closed there.
    sql`create table session_namespaces (
      namespace_id text collate "C" not null,
      session_id text collate "C" not null,
      -- Once the session is settled from the log in this namespace.
      settled_at timestamptz,
      swept_at timestamptz,
      primary key (namespace_id, session_id)
    )`,
    sql`create index session_namespaces_of_session on session_namespaces (session_id, namespace_id)`,
    sql`grant select, insert, update, delete on session_namespaces to ${ROLE}`,
    ...ISOLATED.flatMap((table) =>
      isolateBy(table, "routeplane_policy", { setting: "namespace_id", column: "namespace_id" }),
    ),
    ...ISOLATED.map(
      (table) => sql`create policy owner_reads on ${sql.table(table)} for select to ${OWNER} using (${WHOLE_NODE})`,
    ),
    namespacesOfSession(),
    sliceTotals(),
    ...["namespaces_of_session(text, text, integer)", "slice_totals()"].flatMap((name) => [
      sql`revoke all on function ${sql.raw(name)} from public`,
      sql`grant execute on function ${sql.raw(name)} to ${ROLE}`,
    ]),
    dropPartition(),
  ];
  for (const statement of statements) await statement.execute(db);
}

/** Names namespaces of a session in order of id, from after another one. */
function namespacesOfSession() {
  return sql`
    create function namespaces_of_session(session text, after text, max_rows integer) returns setof text
    language sql stable security definer set search_path = policy, pg_temp as $body$
      select namespace_id from session_namespaces where session_id = session and namespace_id > after
      order by namespace_id limit max_rows
    $body$`;
}

/** Amounts of all slices by dimension. */
function sliceTotals() {
  return sql`
    create function slice_totals() returns table (dimension text, outstanding numeric, held_back numeric)
    language sql stable security definer set search_path = policy, pg_temp as $body$
      select dimension, sum(greatest(granted - returned - used, 0)), sum(held_back) from slices group by dimension
    $body$`;
}

/**
 * The function of 0012, which also keeps a partition while it can have rows of a session that is not closed, or closed less than a day
 * ago: by them a repeated report is known.
 */
function dropPartition() {
  return sql`
    create or replace function drop_hold_partition() returns text
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    declare
      old record;
      kept text;
      is_kept boolean;
      kept_from timestamptz := now() - interval '24 hours';
      first_session timestamptz;
    begin
      perform pg_advisory_xact_lock(hashtext('policy.hold_partitions'));
      select min(opened_at) into first_session from gateway_sessions where state <> 'closed' or closed_at >= kept_from;
      for old in
        select * from (
          select c.relname as name, substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \\(''([^'']+)''\\)') as first_id,
            substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)') as end_id
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'policy.holds'::regclass
        ) as partition
        where end_id collate "C" <= hold_id_of(least(kept_from, first_session)) order by end_id collate "C"
      loop
        kept := format('select exists (select from holds where request_id >= %L and request_id < %L
          and (state = ''open'' or closed_at >= %L or expires_at >= %L))', coalesce(old.first_id, ''), old.end_id, kept_from, kept_from);
        execute kept into is_kept;
        continue when is_kept;
        execute format('lock table %I in share mode', old.name);
        execute kept into is_kept;
        continue when is_kept;
        execute format('drop table %I', old.name);
        return old.name;
      end loop;
      return null;
    end
    $body$`;
}
