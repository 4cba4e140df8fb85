import { isolateBy, lockTables } from "@routeplane/postgres";
import { type Kysely, type RawBuilder, sql } from "kysely";
import { SUM_TABLES } from "./0022_bound_sums.ts";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");
const OWNER = sql.id("routeplane_usage_owner");

/** Condition of a transaction of the whole node. */
const WHOLE_NODE = sql`'this' = (select nullif(current_setting('routeplane.node', true), ''))`;

/** Columns that the aggregator updates. */
const COUNTERS: Readonly<Record<(typeof SUM_TABLES)[number], string>> = {
  rollups_hourly: "request_count, prompt_tokens, completion_tokens, cost_nano_usd",
  rollups_daily: "request_count, prompt_tokens, completion_tokens, cost_nano_usd",
  totals: "request_count, prompt_tokens, completion_tokens, cost_nano_usd",
  unlogged_denials_hourly: "denied_count",
};

/** Functions that the aggregator calls. They run as the owner, and give up rather than block readers and writers. */
const FUNCTIONS = [
  "ensure_partitions(text, integer)",
  "ensure_request_days(bigint)",
  "drop_sum_partitions(integer)",
] as const;

/**
 * Sums are partitioned by month. The table of before becomes the first partition, up to the bound that 0023 validated: nothing is
 * scanned or copied, and its indexes stay. The request log can have a partition for each day of a month.
 *
 * A process of the previous release goes on: names, columns, keys, grants and policies are the same, and the function by which it
 * makes the months of the request log makes those of the sums too.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    lockTables(["retention", ...SUM_TABLES]),
    sql`alter table retention add column sums_kept_from timestamptz not null default '2000-01-01Z'`,
    ...SUM_TABLES.flatMap(partition),
    ensurePartitions(),
    ensureRequestPartitions(),
    ensureRequestDays(),
    dropRequestPartitions(),
    dropSumPartitions(),
    ...FUNCTIONS.flatMap((name) => [
      sql`revoke all on function ${sql.raw(name)} from public`,
      sql`grant execute on function ${sql.raw(name)} to ${AGGREGATOR_ROLE}`,
    ]),
  ];
  for (const statement of statements) await statement.execute(db);
}

function partition(table: (typeof SUM_TABLES)[number]): readonly RawBuilder<unknown>[] {
  const [parent, legacy, rest] = [sql.table(table), sql.table(`${table}_legacy`), sql.table(`${table}_default`)];
  const bound = sql.id(`${table}_bound`);
  return [
    sql`alter table ${parent} rename to ${legacy}`,
    sql`create table ${parent} (like ${legacy} including defaults including constraints including generated including indexes)
      partition by range (bucket)`,
    sql`alter table ${parent} drop constraint ${bound}`,
    ...[`${QUERY_ROLE}_by_namespace_id`, `${QUERY_ROLE}_by_node`, "aggregator_writes"].map(
      (policy) => sql`drop policy ${sql.id(policy)} on ${legacy}`,
    ),
    sql`revoke all on ${legacy} from ${sql.id(QUERY_ROLE)}, ${AGGREGATOR_ROLE}`,
    ...isolateBy(table, QUERY_ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...isolateBy(table, QUERY_ROLE, { setting: "node", column: "node" }).slice(1),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on ${parent} to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on ${parent} to ${sql.id(QUERY_ROLE)}`,
    sql`grant insert, select, update (${sql.raw(COUNTERS[table])}) on ${parent} to ${AGGREGATOR_ROLE}`,
    sql`do $body$ begin
      execute format('alter table ${parent} attach partition ${legacy} for values from (minvalue) to (%L)', (
        select substring(pg_get_constraintdef(oid) from '''([^'']+)''')::timestamptz from pg_catalog.pg_constraint
        where conrelid = '${sql.raw(table)}_legacy'::regclass and conname = '${sql.raw(table)}_bound' and convalidated));
    end $body$`,
    sql`alter table ${legacy} drop constraint ${bound}`,
    // For times without a month of their own: no sum is refused for its time.
    sql`create table ${rest} partition of ${parent} default with (fillfactor = 70)`,
    sql`alter table ${rest} enable row level security, force row level security`,
    // For the function below, which runs as the owner: only in a transaction of the whole node, and to insert nothing.
    sql`create policy owner_prunes on ${rest} to ${OWNER} using (${WHOLE_NODE}) with check (false)`,
  ];
}

/** Makes the partitions of one table for the months from now on, but for those that have partitions. */
function ensurePartitions() {
  return sql`
    create function ensure_partitions(parent text, months integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      this_month timestamp := date_trunc('month', now() at time zone 'UTC');
      legacy_end timestamptz;
      first_day timestamp;
      name text;
    begin
      if months not between 1 and 24 then
        raise exception 'months must be from 1 to 24, not %', months;
      end if;
      if parent not in ('requests', 'rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly') then
        raise exception '% has no partitions by month', parent;
      end if;
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      select substring(pg_get_expr(relpartbound, oid) from 'TO \\(''([^'']+)''\\)')::timestamptz into legacy_end
        from pg_catalog.pg_class where oid = to_regclass('usage.' || parent || '_legacy');
      for ahead in 0 .. months - 1 loop
        first_day := this_month + make_interval(months => ahead);
        name := parent || '_' || to_char(first_day, '"y"YYYY"m"MM');
        continue when to_regclass('usage.' || name) is not null or to_regclass('usage.' || name || 'd01') is not null
          or first_day at time zone 'UTC' < legacy_end;
        execute format('create table %I partition of %I for values from (%L) to (%L) with (fillfactor = %s)', name, parent,
          first_day at time zone 'UTC', (first_day + interval '1 month') at time zone 'UTC',
          case parent when 'requests' then 100 else 70 end);
        execute format('alter table %I enable row level security, force row level security', name);
        return next name;
      end loop;
    end
    $body$`;
}

/** Replaces the function of 0001, which the previous release calls: it also makes the months of the sums. */
function ensureRequestPartitions() {
  return sql`
    create or replace function ensure_request_partitions(months integer) returns setof text
    language sql security definer set search_path = usage, pg_temp as $body$
      select ensure_partitions(parent, months)
      from unnest(array['requests', 'rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly']) as parent
    $body$`;
}

/**
 * Replaces the empty partition of the next month of the request log by one for each of its days, if this month or the last one
 * takes at least so many bytes with its indexes. Returns the names of the days.
 */
function ensureRequestDays() {
  return sql`
    create function ensure_request_days(from_bytes bigint) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      this_month timestamp := date_trunc('month', now() at time zone 'UTC');
      next_month timestamp := this_month + interval '1 month';
      month_name text := 'requests_' || to_char(next_month, '"y"YYYY"m"MM');
      largest numeric;
      has_rows boolean;
      first_moment timestamp;
      name text;
    begin
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      if to_regclass('usage.' || month_name) is null then
        return;
      end if;
      select max(bytes) into largest from (
        select sum(pg_total_relation_size(i.inhrelid)) as bytes
        from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'usage.requests'::regclass
          and left(c.relname, 17) in (
            'requests_' || to_char(this_month, '"y"YYYY"m"MM'),
            'requests_' || to_char(this_month - interval '1 month', '"y"YYYY"m"MM'))
        group by left(c.relname, 17)) as month;
      if largest is null or largest < from_bytes then
        return;
      end if;
      execute format('lock table %I in access exclusive mode', month_name);
      select exists (select from requests where created_at >= next_month at time zone 'UTC'
        and created_at < (next_month + interval '1 month') at time zone 'UTC') into has_rows;
      -- Of a gateway whose clock is ahead: that month stays one partition.
      if has_rows then
        return;
      end if;
      execute format('drop table %I', month_name);
      for first_moment in
        select generate_series(next_month, next_month + interval '1 month' - interval '1 day', interval '1 day')
      loop
        name := month_name || to_char(first_moment, '"d"DD');
        execute format('create table %I partition of requests for values from (%L) to (%L)', name,
          first_moment at time zone 'UTC', (first_moment + interval '1 day') at time zone 'UTC');
        execute format('alter table %I enable row level security, force row level security', name);
        return next name;
      end loop;
    end
    $body$`;
}

/** Replaces the function of 0015: months and days of the request log are dropped alike, as soon as each is over for so long. */
function dropRequestPartitions() {
  return sql`
    create or replace function drop_request_partitions(keep_days integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      old record;
      -- A day more: clocks differ, and what is not kept any more must be refused before its partition is gone.
      kept_time timestamptz := now() - make_interval(days => keep_days + 1);
      cut timestamptz := date_trunc('month', kept_time, 'UTC');
    begin
      if keep_days < 30 then
        raise exception 'at least 30 days are kept, not %', keep_days;
      end if;
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      for old in
        select * from (
          select c.relname as name, substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)')::timestamptz as ends
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'usage.requests'::regclass
        ) as partition
        where ends <= kept_time order by ends
      loop
        execute format('drop table usage.%I', old.name);
        cut := greatest(cut, old.ends);
        return next old.name;
      end loop;
      -- No partition of a time before it is left, so that this is in the default one.
      delete from requests where created_at < cut;
      delete from unlogged_denials where minute < cut;
      update retention set kept_from = cut where kept_from < cut;
    end
    $body$`;
}

/**
 * Drops months of the sums, and none of which there are rows in the request log, so that sums and rows can be compared. The start
 * of the kept sums is stored, so that no usage is reported of what is gone.
 */
function dropSumPartitions() {
  return sql`
    create function drop_sum_partitions(keep_days integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      old record;
      parent text;
      cut timestamptz := least(now() - make_interval(days => keep_days + 1), (select kept_from from retention));
      dropped_to timestamptz;
    begin
      if keep_days < 30 then
        raise exception 'at least 30 days are kept, not %', keep_days;
      end if;
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      for old in
        select * from (
          select c.relname as name, substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)')::timestamptz as ends
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
          where i.inhparent in ('usage.rollups_hourly'::regclass, 'usage.rollups_daily'::regclass, 'usage.totals'::regclass,
            'usage.unlogged_denials_hourly'::regclass)
        ) as partition
        where ends <= cut order by ends, name
      loop
        execute format('drop table usage.%I', old.name);
        dropped_to := old.ends;
        return next old.name;
      end loop;
      if dropped_to is null then
        return;
      end if;
      foreach parent in array array['rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly'] loop
        execute format('delete from %I where bucket < %L', parent || '_default', dropped_to);
      end loop;
      update retention set sums_kept_from = dropped_to where sums_kept_from < dropped_to;
    end
    $body$`;
}
