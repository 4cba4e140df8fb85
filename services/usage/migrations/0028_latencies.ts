import { isolateBy, lockTables, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");
const OWNER = sql.id("routeplane_usage_owner");

/** Months for which there are partitions at once: an aggregator makes the next ones. */
const PARTITION_MONTHS = sql.lit(4);

/**
 * Latencies of requests by hour, model and provider: histograms, each written as one whole number, in the same transaction as the rows.
 * Each row of the log has the cells in which it counts, null for none. So one that an aggregator of the previous release writes
 * counts in no histogram, and neither does one from before.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    lockTables(["requests", "retention"]),
    sql`alter table requests add column total_ms_cell smallint, add column first_token_ms_cell smallint`,
    sql`grant update (total_ms_cell, first_token_ms_cell) on requests to ${AGGREGATOR_ROLE}`,
    sql`create table latencies_hourly (
      namespace_id text collate "C" not null,
      -- First moment of the hour, in UTC.
      bucket timestamptz not null,
      model text collate "C" not null,
      provider text collate "C" not null,
      total_ms_histogram numeric not null,
      first_token_ms_histogram numeric not null,
      primary key (namespace_id, bucket, model, provider)
    ) partition by range (bucket)`,
    sql`create index latencies_hourly_by_time on latencies_hourly (bucket)`,
    ...isolateBy("latencies_hourly", QUERY_ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...openToNode("latencies_hourly", QUERY_ROLE),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on latencies_hourly to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on latencies_hourly to ${sql.id(QUERY_ROLE)}`,
    sql`grant insert, select, update (total_ms_histogram, first_token_ms_histogram) on latencies_hourly to ${AGGREGATOR_ROLE}`,
    // For times without a month of their own. The function that drops months deletes from it, as the owner.
    sql`create table latencies_hourly_default partition of latencies_hourly default with (fillfactor = 70)`,
    sql`alter table latencies_hourly_default enable row level security, force row level security`,
    sql`create policy owner_prunes on latencies_hourly_default to ${OWNER}
      using ('this' = (select nullif(current_setting('routeplane.node', true), ''))) with check (false)`,
    ensurePartitions(),
    ensureRequestPartitions(),
    dropSumPartitions(),
    sql`select ensure_partitions('latencies_hourly', ${PARTITION_MONTHS})`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/** Replaces the function of 0024: it also makes the months of the latencies. */
function ensurePartitions() {
  return sql`
    create or replace function ensure_partitions(parent text, months integer) returns setof text
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
      if parent not in ('requests', 'rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly',
          'latencies_hourly') then
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

/** Replaces the function of 0024 likewise. */
function ensureRequestPartitions() {
  return sql`
    create or replace function ensure_request_partitions(months integer) returns setof text
    language sql security definer set search_path = usage, pg_temp as $body$
      select ensure_partitions(parent, months)
      from unnest(array['requests', 'rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly',
        'latencies_hourly']) as parent
    $body$`;
}

/** Replaces the function of 0024 likewise: it drops the months of the latencies with those of the sums. */
function dropSumPartitions() {
  return sql`
    create or replace function drop_sum_partitions(keep_days integer) returns setof text
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
            'usage.unlogged_denials_hourly'::regclass, 'usage.latencies_hourly'::regclass)
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
      foreach parent in array array['rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly', 'latencies_hourly'] loop
        execute format('delete from %I where bucket < %L', parent || '_default', dropped_to);
      end loop;
      update retention set sums_kept_from = dropped_to where sums_kept_from < dropped_to;
    end
    $body$`;
}
