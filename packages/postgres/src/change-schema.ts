import { type RawBuilder, sql } from "kysely";

export interface ChangeCounterOptions {
  readonly schema: string;
  /** Owns the schema: counts, on behalf of whoever makes a change. */
  readonly owner: string;
  /** The process's role: reads the counter, and can move it only by making a change. */
  readonly role: string;
}

/**
 * A schema's counter of changes: what `announceChanges` names takes the next number and is announced on the channel
 * `<schema>_changes` as `<number>:<subject>` (see `subscribeToChanges`). The counter's row stays locked until the commit, so that
 * numbers are in the order of the commits, and a change that is rolled back leaves no hole.
 */
export function changeCounter({ schema, owner, role }: ChangeCounterOptions): RawBuilder<unknown>[] {
  return [
    sql`create table changes (
      only_row boolean primary key default true check (only_row),
      sequence bigint not null check (sequence >= 0)
    )`,
    sql`insert into changes (sequence) values (0)`,
    // It holds a number and nothing of any tenant's: whoever may use the table sees its one row.
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
 * Has changes of a table's rows announced. Counted at the commit, when the transaction waits for nothing else any more: two
 * that change several rows in different orders cannot wait for each other.
 *
 * @param events e.g. `update or delete`
 * @param subject the column that says whom the change concerns
 */
export function announceChanges(table: string, events: string, subject: string): RawBuilder<unknown> {
  return sql`create constraint trigger announce_change after ${sql.raw(events)} on ${sql.table(table)}
    deferrable initially deferred for each row execute function announce_change(${sql.lit(subject)})`;
}
