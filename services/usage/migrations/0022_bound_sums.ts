import { lockTables } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

/** Tables of stored sums, which 0024 partitions by month. */
export const SUM_TABLES = ["rollups_hourly", "rollups_daily", "totals", "unlogged_denials_hourly"] as const;

/**
 * A bound for the tables of sums, which 0023 validates and 0024 makes that of their first partition: a month that begins in 31 days
 * at least, and after everything that is stored. Nothing is read but the ends of indexes.
 *
 * A process of the previous release writes no later sum, unless a gateway's clock is a month ahead: then its event becomes a dead
 * letter until 0024 is applied.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await lockTables(SUM_TABLES).execute(db);
  // Row-level security binds the owner too and no policy shows it a row: not forced while this reads, with the tables locked.
  for (const table of SUM_TABLES) await sql`alter table ${sql.table(table)} no force row level security`.execute(db);
  await sql`do $body$
    declare
      last timestamptz := (select max(bucket) from (
        select max(bucket) as bucket from rollups_hourly union all select max(bucket) from rollups_daily
        union all select max(bucket) from totals where minutes = 5 union all select max(bucket) from totals where minutes = 1440
        union all select max(bucket) from unlogged_denials_hourly) as ends);
      bound timestamptz := (greatest(date_trunc('month', now() at time zone 'UTC') + interval '2 months',
        date_trunc('month', last at time zone 'UTC') + interval '1 month')) at time zone 'UTC';
      name text;
    begin
      foreach name in array array['rollups_hourly', 'rollups_daily', 'totals', 'unlogged_denials_hourly'] loop
        execute format('alter table %I add constraint %I check (bucket < %L) not valid', name, name || '_bound', bound);
      end loop;
    end
    $body$`.execute(db);
  for (const table of SUM_TABLES) await sql`alter table ${sql.table(table)} force row level security`.execute(db);
}
