import { type Kysely, sql } from "kysely";

const OWNER = sql.id("routeplane_usage_owner");

/**
 * A month whose rows are in the default partition gets its partition too: the rows move. Before, one event of a gateway whose clock was
 * months ahead prevented this month, and all later ones, of its tables.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // As on the other default partitions: only in a transaction of the whole node, and to insert nothing.
    sql`create policy owner_prunes on requests_default to ${OWNER}
      using ('this' = (select nullif(current_setting('routeplane.node', true), ''))) with check (false)`,
    ensurePartitions(),
  ];
  for (const statement of statements) await statement.execute(db);
}

/** Replaces the function of 0028. */
function ensurePartitions() {
  return sql`
    create or replace function ensure_partitions(parent text, months integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp set lock_timeout = '2s' as $body$
    declare
      this_month timestamp := date_trunc('month', now() at time zone 'UTC');
      legacy_end timestamptz;
      first_day timestamp;
      starts timestamptz;
      ends timestamptz;
      name text;
      rest text := parent || '_default';
      at text := case parent when 'requests' then 'created_at' else 'bucket' end;
      columns text;
      fill integer := case parent when 'requests' then 100 else 70 end;
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
        starts := first_day at time zone 'UTC';
        ends := (first_day + interval '1 month') at time zone 'UTC';
        name := parent || '_' || to_char(first_day, '"y"YYYY"m"MM');
        continue when to_regclass('usage.' || name) is not null or to_regclass('usage.' || name || 'd01') is not null
          or starts < legacy_end;
        begin
          execute format('create table %I partition of %I for values from (%L) to (%L) with (fillfactor = %s)', name, parent,
            starts, ends, fill);
        exception when check_violation then
          -- Rows of the month are in the default partition.
          execute format('lock table %I in access exclusive mode', rest);
          execute format('create table %I (like %I including all) with (fillfactor = %s)', name, parent, fill);
          select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_catalog.pg_attribute
            where attrelid = to_regclass('usage.' || parent) and attnum > 0 and not attisdropped and attgenerated = '';
          execute format(
            'with moved as (delete from %1$I where %2$I >= %3$L and %2$I < %4$L returning %6$s) insert into %5$I (%6$s) select %6$s from moved',
            rest, at, starts, ends, name, columns);
          execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, name, starts, ends);
        end;
        execute format('alter table %I enable row level security, force row level security', name);
        return next name;
      end loop;
    end
    $body$`;
}
