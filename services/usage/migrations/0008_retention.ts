import { type Kysely, sql } from "kysely";

/**
 * A function that drops whole months of the request log; their sums stay. It runs as the owner, for a caller that cannot drop
 * tables, and gives up rather than block readers and writers.
 *
 * Superseded by 0010 and 0015, which replace the function.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`
    create function drop_request_partitions(keep_days integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      old record;
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
        -- A day more: clocks differ, and what is not kept any more must be refused before its month is gone.
        continue when old.ends > now() - make_interval(days => keep_days + 1);
        execute format('drop table usage.%I', old.name);
        return next old.name;
      end loop;
    end
    $body$`,
    sql`revoke all on function drop_request_partitions(integer) from public`,
    sql`grant execute on function drop_request_partitions(integer) to routeplane_aggregator`,
  ];
  for (const statement of statements) await statement.execute(db);
}
