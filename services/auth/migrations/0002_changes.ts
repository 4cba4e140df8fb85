import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_auth";
const OWNER = "routeplane_auth_owner";

/**
 * The change feed: every change of what a credential can do takes the next number and is announced on the channel
 * `auth_changes` as `<number>:<subject id>`. The counter's row stays locked until the commit: numbers are in commit order, and a
 * rolled-back change leaves no hole.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table changes (
      only_row boolean primary key default true check (only_row),
      sequence bigint not null check (sequence >= 0)
    )`,
    sql`insert into changes (sequence) values (0)`,
    // The one row holds a number and nothing of a namespace, so every role with access sees it.
    sql`alter table changes enable row level security, force row level security`,
    sql`create policy counted_by_owner on changes to ${sql.id(OWNER)} using (true) with check (true)`,
    sql`create policy read_by_process on changes for select to ${sql.id(ROLE)} using (true)`,
    sql`grant select on changes to ${sql.id(ROLE)}`,
    // Runs as the owner, so that a process can move the counter only by making a change.
    sql`create function announce_change() returns trigger
        language plpgsql security definer set search_path = auth, pg_temp as $$
        declare
          number bigint;
        begin
          update changes set sequence = sequence + 1 returning sequence into number;
          perform pg_notify('auth_changes', number || ':' || (to_jsonb(coalesce(new, old)) ->> tg_argv[0]));
          return null;
        end $$`,
    sql`revoke all on function announce_change() from public`,
    // All columns but one: a column that is added later is announced too, unless a migration excludes it.
    sql`create trigger announce_change after update on keys for each row
        when (to_jsonb(old) - 'last_used_at' is distinct from to_jsonb(new) - 'last_used_at')
        execute function announce_change('id')`,
    // For rotations, after which the replaced token of the key can do less.
    sql`create trigger announce_change after update or delete on key_secrets for each row
        execute function announce_change('key_id')`,
    ...["namespaces", "operators", "accounts"].map(
      (table) => sql`create trigger announce_change after update on ${sql.table(table)} for each row
        when (old.* is distinct from new.*) execute function announce_change('id')`,
    ),
  ];
  for (const statement of statements) await statement.execute(db);
}
