import { type Kysely, sql } from "kysely";

const QUERY_ROLE = sql.id("routeplane_usage");
const OWNER = sql.id("routeplane_usage_owner");

/**
 * Retention of every row, also of those in the default partition. The start of the kept rows is stored, so that sums are not
 * compared with rows that are gone. Namespaces that have requests can be found.
 *
 * Superseded in part: 0015 replaces the function `drop_request_partitions` again.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table retention (
      only_row boolean primary key default true check (only_row),
      -- Requests from before are dropped, or are to be.
      kept_from timestamptz not null
    )`,
    // No request is older: the aggregator accepts none.
    sql`insert into retention (kept_from) values ('2000-01-01Z')`,
    // The one row holds a time and nothing of a namespace, so every role with access sees it.
    sql`alter table retention enable row level security, force row level security`,
    sql`create policy written_by_owner on retention to ${OWNER} using (true) with check (true)`,
    sql`create policy read_by_process on retention for select to ${QUERY_ROLE} using (true)`,
    sql`grant select on retention to ${QUERY_ROLE}`,
    // For the functions below, which run as the owner: only in a transaction of the whole node, and to insert nothing.
    sql`create policy owner_reads_and_prunes on requests to ${OWNER}
      using ('this' = (select nullif(current_setting('routeplane.node', true), ''))) with check (false)`,
    dropFunction(),
    namespaceFunction(),
    sql`revoke all on function next_request_namespace(text, timestamptz, timestamptz) from public`,
    sql`grant execute on function next_request_namespace(text, timestamptz, timestamptz) to ${QUERY_ROLE}`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/** Replaces the function of 0008: it also deletes rows of the same months from the default partition. Superseded by 0015. */
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
      update retention set kept_from = cut where kept_from < cut;
    end
    $body$`;
}

/** A function that returns the id of the first namespace, in order of id, after another one that has requests in a time range. */
function namespaceFunction() {
  return sql`
    create function next_request_namespace(after text, from_time timestamptz, to_time timestamptz) returns text
    language plpgsql stable security definer set search_path = usage, pg_temp as $body$
    declare
      candidate text collate "C" := after;
    begin
      loop
        select namespace_id into candidate from requests
          where namespace_id > candidate order by namespace_id limit 1;
        if candidate is null or exists (
          select from requests where namespace_id = candidate and created_at >= from_time and created_at < to_time
        ) then
          return candidate;
        end if;
      end loop;
    end
    $body$`;
}
