import { type Kysely, sql } from "kysely";

/** Columns that the end of a lost session needs: its question to the usage log, and the claim of the process that settles it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table gateway_sessions
      -- Position of the usage log when it was asked for the requests of the session: rows up to it are waited for.
      add column log_position bigint,
      -- Until then one process settles it, so that others leave it alone.
      add column claimed_until timestamptz`,
    pruneDefault(),
  ];
  for (const statement of statements) await statement.execute(db);
}

/**
 * The function of 0012, which also keeps rows while a session of their time is not closed, or was closed less than a day ago: by them
 * a request that the usage log has is known to be charged.
 */
function pruneDefault() {
  return sql`
    create or replace function prune_default_holds(max_rows integer) returns integer
    language plpgsql security definer set search_path = policy, pg_temp as $body$
    declare
      kept_from timestamptz := now() - interval '24 hours';
      first_session timestamptz;
      deleted integer;
    begin
      if to_regclass('policy.holds_default') is null then
        return 0;
      end if;
      select min(opened_at) into first_session from gateway_sessions where state <> 'closed' or closed_at >= kept_from;
      kept_from := least(kept_from, first_session);
      delete from holds_default where ctid = any(array(
        select ctid from holds_default
        where state <> 'open' and closed_at < kept_from and expires_at < kept_from limit max_rows for update skip locked
      ));
      get diagnostics deleted = row_count;
      return deleted;
    end
    $body$`;
}
