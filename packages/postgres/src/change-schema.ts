import { type RawBuilder, sql } from "kysely";

export interface ChangeCounterOptions {
  readonly schema: string;
  /** Role that owns the schema; the trigger runs as this role. */
  readonly owner: string;
  /** Role of the process: it can read the counter, and increments it only by making a change. */
  readonly role: string;
}

/**
 * Statements that create the change counter of a schema, for a migration. Each change that `announceChanges` covers takes the
 * next number and is announced on the channel `<schema>_changes` as `<number>:<subject>` (see `subscribeToChanges`). The
 * counter's row stays locked until the commit: numbers are in commit order, and a rolled-back change leaves no hole.
 */
export function changeCounter({ schema, owner, role }: ChangeCounterOptions): RawBuilder<unknown>[] {
  return [
    sql`create table changes (
      only_row boolean primary key default true check (only_row),
      sequence bigint not null check (sequence >= 0)
    )`,
    sql`insert into changes (sequence) values (0)`,
    // The one row holds a number and nothing of a namespace, so every role with access sees it.
    sql`alter table changes enable row level security, force row level security`,
    sql`create policy counted_by_owner on changes to ${sql.id(owner)} using (true) with check (true)`,
    sql`create policy read_by_process on changes for select to ${sql.id(role)} using (true)`,
    sql`grant select on changes to ${sql.id(role)}`,
    sql`create function announce_change() returns trigger
        language plpgsql security definer set search_path = ${sql.id(schema)}, pg_temp as $$
        declare
          number bigint;
        begin
          update changes set sequence = sequence + 1 returning sequence into number;
          perform pg_notify(${sql.lit(`${schema}_changes`)}, number || ':' || (to_jsonb(coalesce(new, old)) ->> tg_argv[0]));
          return null;
        end $$`,
    sql`revoke all on function announce_change() from public`,
  ];
}

/**
 * Statement that creates the trigger which announces changes of a table's rows, for a migration. Changes are counted at the commit, when
 * the transaction takes no further lock, so that transactions cannot deadlock on the counter.
 *
 * @param events e.g. `update or delete`
 * @param subject column with the id of the thing that changed
 */
export function announceChanges(table: string, events: string, subject: string): RawBuilder<unknown> {
  return sql`create constraint trigger announce_change after ${sql.raw(events)} on ${sql.table(table)}
    deferrable initially deferred for each row execute function announce_change(${sql.lit(subject)})`;
}
