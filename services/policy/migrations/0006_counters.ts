import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_policy";

/** Tables that the conversion reads. Row-level security binds the owner too, and no policy shows it a row. */
const CONVERTED = ["bindings", "policies", "budget_counters", "budget_buckets"] as const;

/**
 * One counter row for each binding, for all of its limits, instead of one row for each bucket of a budget. Reservations (`holds`)
 * have their key, and what they count against rate limits. A process of the previous release must be stopped first.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table counters (
      namespace_id text collate "C" not null,
      binding_id text collate "C" not null,
      reserved_nano bigint not null default 0 check (reserved_nano >= 0),
      open_holds bigint not null default 0 check (open_holds >= 0),
      -- Each a window: the width of its buckets in milliseconds, the number of the newest, and what each counts from there back.
      spend bigint[] check (0 <= all (spend)),
      requests bigint[] check (0 <= all (requests)),
      tokens bigint[] check (0 <= all (tokens)),
      primary key (namespace_id, binding_id),
      foreign key (namespace_id, binding_id) references bindings (namespace_id, id) on delete cascade
    ) with (fillfactor = 50)`, // Leaves space for the next version of a row on its page, which needs no index entry then.
    sql`grant select, insert on counters to ${sql.id(ROLE)}`,
    sql`grant update (reserved_nano, open_holds, spend, requests, tokens) on counters to ${sql.id(ROLE)}`,
    ...CONVERTED.map((table) => sql`alter table ${sql.table(table)} no force row level security`),
    convertBudgets(),
    ...isolateBy("counters", ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...CONVERTED.map((table) => sql`alter table ${sql.table(table)} force row level security`),
    sql`drop table budget_buckets, budget_counters`,
    ...countEveryBinding(),
    // '': made by the previous release, for an unknown key.
    sql`alter table holds
      add column key_id text collate "C" not null default '',
      add column rate_binding_ids text[] not null default '{}',
      add column tokens bigint not null default 0 check (tokens >= 0),
      add column opened_at timestamptz not null default now(),
      drop constraint holds_pkey,
      add primary key (namespace_id, key_id, request_id)`,
    sql`alter table holds alter column key_id drop default`,
    sql`alter table holds rename column binding_ids to budget_binding_ids`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/**
 * Moves the spend of each budget to buckets of a hundredth of its window. An old bucket goes to the latest time at which some of
 * it can have been spent, so that no spend stops counting too early.
 */
function convertBudgets() {
  return sql`
    with budgets as (
      select b.namespace_id, b.id as binding_id, w.old_ms, w.new_ms
      from bindings b join policies p on p.namespace_id = b.namespace_id and p.id = b.policy_id
      join (values ('hour', 60000::bigint, 36000::bigint), ('day', 1440000, 864000), ('week', 10800000, 6048000),
        ('month', 43200000, 25920000), ('total', 0, 0)) as w (name, old_ms, new_ms) on w.name = p.spec->>'window'
      where p.kind = 'budget'
    ), moved as (
      select namespace_id, binding_id, new_ms, coalesce(floor(spent_ms / nullif(new_ms, 0)), 0)::bigint as bucket,
        sum(spent_nano)::bigint as amount
      from budgets join budget_buckets k using (namespace_id, binding_id), lateral (
        select least(extract(epoch from k.bucket_start) * 1000 + old_ms - 1, extract(epoch from now()) * 1000) as spent_ms
      ) at
      group by namespace_id, binding_id, new_ms, bucket
    ), newest as (
      select namespace_id, binding_id, new_ms, max(bucket) as bucket from moved group by namespace_id, binding_id, new_ms
    ), windows as (
      select n.namespace_id, n.binding_id, array[n.new_ms, n.bucket] || array(
        select coalesce(m.amount, 0) from generate_series(0, 100) as ago left join moved m
          on (m.namespace_id, m.binding_id, m.bucket) = (n.namespace_id, n.binding_id, n.bucket - ago)
        where ago = 0 or n.new_ms > 0
        order by ago
      ) as spend
      from newest n
    )
    insert into counters (namespace_id, binding_id, reserved_nano, spend)
    select b.namespace_id, b.id, coalesce(c.reserved_nano, 0), w.spend
    from bindings b
    left join budget_counters c on (c.namespace_id, c.binding_id) = (b.namespace_id, b.id)
    left join windows w on (w.namespace_id, w.binding_id) = (b.namespace_id, b.id)`;
}

/** Gives every binding a counter, by trigger: a limit without one could not be enforced. */
function countEveryBinding() {
  return [
    sql`create function count_binding() returns trigger language plpgsql set search_path = policy, pg_temp as $body$
      begin
        insert into counters (namespace_id, binding_id) values (new.namespace_id, new.id);
        return null;
      end
      $body$`,
    sql`revoke all on function count_binding() from public`,
    sql`create trigger counter after insert on bindings for each row execute function count_binding()`,
  ];
}
