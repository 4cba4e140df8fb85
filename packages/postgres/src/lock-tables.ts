import { type RawBuilder, sql } from "kysely";

/** Pause between two attempts, in seconds. */
const PAUSE_SECS = 0.02;
/** Number of attempts: 2 s, as long as a migration waits for any lock. */
const ATTEMPTS = 100;

/**
 * Statement that locks tables against readers and writers, all at once or none, for the rest of the transaction. Fails like a lock that is
 * not granted in time, after 2 s.
 *
 * A migration that locks one table after another can deadlock with a query that reads them in another order, and Postgres may cancel the
 * query. This statement never waits for a lock while it holds another, and no query queues behind it.
 */
export function lockTables(tables: readonly string[]): RawBuilder<unknown> {
  const names = sql.join(tables.map((table) => sql.table(table)));
  return sql`do $body$ begin
    for attempt in 1 .. ${sql.lit(ATTEMPTS)} loop
      begin
        lock table ${names} in access exclusive mode nowait;
        return;
      exception when lock_not_available then
        perform pg_sleep(${sql.lit(PAUSE_SECS)});
      end;
    end loop;
    raise lock_not_available using message = 'the tables are in use';
  end $body$`;
}
