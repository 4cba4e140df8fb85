import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");
const OWNER = sql.id("routeplane_usage_owner");

/**
 * Denied requests without a row: counts as gateways send them, whose primary key makes each count once, and their sums by hour.
 * Counts are dropped with the months of the request log; the sums stay.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const counts = `key_id text collate "C" not null,
      model text collate "C" not null,
      provider text collate "C" not null,
      denied_count bigint not null check (denied_count > 0)`;
  const statements = [
    sql`create table unlogged_denials (
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      -- First moment of the minute, in UTC.
      minute timestamptz not null,
      ${sql.raw(counts)},
      primary key (namespace_id, id)
    )`,
    sql`create index unlogged_denials_by_time on unlogged_denials (namespace_id, minute)`,
    sql`create table unlogged_denials_hourly (
      namespace_id text collate "C" not null,
      -- First moment of the hour, in UTC.
      bucket timestamptz not null,
      ${sql.raw(counts)},
      primary key (namespace_id, bucket, key_id, model, provider)
    ) with (fillfactor = 70)`, // As of the rollups (0003).
    sql`create index unlogged_denials_hourly_by_time on unlogged_denials_hourly (bucket)`,
    ...access("unlogged_denials"),
    ...access("unlogged_denials_hourly"),
    ...openToNode("unlogged_denials_hourly", QUERY_ROLE),
    sql`grant update (denied_count) on unlogged_denials_hourly to ${AGGREGATOR_ROLE}`,
    // For the function below, which runs as the owner: only in a transaction of the whole node, and to insert nothing.
    sql`create policy owner_prunes on unlogged_denials to ${OWNER}
      using ('this' = (select nullif(current_setting('routeplane.node', true), ''))) with check (false)`,
    dropFunction(),
    // Partial, because few sums are of denied requests.
    sql`create index rollups_hourly_denied on rollups_hourly (namespace_id, bucket) where status = 'denied'`,
    sql`create index rollups_daily_denied on rollups_daily (namespace_id, bucket) where status = 'denied'`,
  ];
  for (const statement of statements) await statement.execute(db);
}

function access(table: string) {
  return [
    ...isolateBy(table, QUERY_ROLE, { setting: "namespace_id", column: "namespace_id" }),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on ${sql.table(table)} to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on ${sql.table(table)} to ${sql.id(QUERY_ROLE)}`,
    sql`grant insert, select on ${sql.table(table)} to ${AGGREGATOR_ROLE}`,
  ];
}

/** Replaces the function of 0010: it also deletes the counts of the same months. */
function dropFunction() {
  return sql`
    create or replace function drop_request_partitions(keep_days integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      old record;
      -- A day more: clocks differ, and what is not kept any more must be refused before its month is gone.
      cut timestamptz := date_trunc('month', now() - make_interval(days => keep_days + 1), 'UTC');
    begin
      if keep_days < 30 then
        raise exception 'at least 30 days are kept, not %', keep_days;
      end if;
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      for old in
        select c.relname as name, (to_date(substr(c.relname, 11), 'YYYY"m"MM') + interval '1 month') at time zone 'UTC' as ends
        from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'usage.requests'::regclass and c.relname ~ '^requests_y[0-9]{4}m[0-9]{2}$'
        order by 1
      loop
        continue when old.ends > cut;
        execute format('drop table usage.%I', old.name);
        return next old.name;
      end loop;
      -- No month before it is left, so that this is in the default partition.
      delete from requests where created_at < cut;
      delete from unlogged_denials where minute < cut;
      update retention set kept_from = cut where kept_from < cut;
    end
    $body$`;
}
