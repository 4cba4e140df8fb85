import { type RawBuilder, sql } from "kysely";
import { isolateBy } from "@routeplane/postgres";
import type { AuditAction } from "./actions.ts";
import { updateLabel } from "./labels.ts";

/**
 * Statements that create the audit log of a schema: who changed what, when, from where, and the values before. Triggers write it
 * in the transaction of the change, so that no code path can change a row without an entry. The process's role can add and read
 * entries, and neither change nor delete them.
 *
 * @param role role of the process
 */
export function auditLog(role: string): RawBuilder<unknown>[] {
  const table = "audit_entries";
  return [
    sql`create table audit_entries (
      -- Empty for rows above namespaces, e.g. accounts.
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      -- Account of the changed row or, if that is unknown, of the caller. Empty for rows of the node itself.
      account_id text collate "C" not null,
      created_at timestamptz not null,
      actor_type text not null,
      actor_id text collate "C" not null,
      action text not null,
      target_id text collate "C" not null,
      before jsonb,
      after jsonb,
      request_id text collate "C" not null,
      address text not null,
      primary key (namespace_id, id)
    )`,
    sql`create index audit_entries_account on audit_entries (account_id, id)`,
    ...isolateBy(table, role, { setting: "namespace_id", column: "namespace_id" }),
    ...isolateBy(table, role, { setting: "account_id", column: "account_id" }),
    sql`grant select, insert on audit_entries to ${sql.id(role)}`,
    NEW_AUDIT_ID,
    recordChange(),
    sql`revoke all on function new_audit_id(), record_change() from public`,
    sql`grant execute on function new_audit_id() to ${sql.id(role)}`,
  ];
}

/** Condition on the changes of a table that are audited. */
export interface AuditedChanges {
  /** E.g. `update or delete`. */
  readonly events: string;
  /** A condition on `old` and `new`. */
  readonly when: RawBuilder<unknown>;
}

/**
 * Statement that creates the trigger which records changes of a table's rows.
 *
 * @param kind kind of the rows, e.g. `key`: the action of an entry is one of that kind in the service's list of actions
 * @param columns columns whose changes are recorded; never a secret or the hash of one
 * @param only condition on the recorded changes; all of them by default
 */
export function auditChanges(
  table: string,
  kind: string,
  columns: readonly string[],
  only?: AuditedChanges,
): RawBuilder<unknown> {
  const args = sql.join([kind, ...columns].map((argument) => sql.lit(argument)));
  const events = only?.events ?? "insert or update or delete";
  return sql`create trigger audit after ${sql.raw(events)} on ${sql.table(table)}
    for each row ${only === undefined ? sql`` : sql`when (${only.when})`} execute function record_change(${args})`;
}

/** SQL function that makes a TypeID as `newId` does: 128 bits of UUIDv7 in 26 digits of Crockford's base32. */
const NEW_AUDIT_ID = sql`
  create function new_audit_id() returns text language plpgsql volatile as $body$
  declare
    bits bit varying := B'00' || ('x' || replace(uuidv7()::text, '-', ''))::bit(128);
    digits text := '';
  begin
    for place in 0 .. 25 loop
      digits := digits || substr('0123456789abcdefghjkmnpqrstvwxyz', substring(bits from place * 5 + 1 for 5)::bit(5)::int + 1, 1);
    end loop;
    return 'aud_' || digits;
  end
  $body$`;

export interface RecordChangeOptions {
  /** Actions of updates; an update that none of them covers is `<kind>.update`. */
  readonly actions?: readonly AuditAction[] | undefined;
  /** SQL that computes the account of a row without an account column from the JSON `any_row`; by default the caller's account. */
  readonly accountOf?: RawBuilder<unknown> | undefined;
}

/**
 * Statement that creates or replaces the function of the triggers. It runs as the role that makes the change, under its row-level security:
 * an entry belongs to the same namespace or account as its change.
 */
export function recordChange({ actions = [], accountOf = sql`null` }: RecordChangeOptions = {}): RawBuilder<unknown> {
  const label = updateLabel(actions, { kind: sql`tg_argv[0]`, became: sql`became` });
  return sql`
  create or replace function record_change() returns trigger language plpgsql as $body$
  declare
    origin jsonb := coalesce(nullif(current_setting('routeplane.origin', true), ''), '{}')::jsonb;
    old_row jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    new_row jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    any_row jsonb := coalesce(new_row, old_row);
    was jsonb;
    became jsonb;
  begin
    select jsonb_object_agg(name, old_row -> name), jsonb_object_agg(name, new_row -> name)
      into was, became
      from unnest(tg_argv[1:]) as name
      where old_row -> name is distinct from new_row -> name;
    if was is null and became is null then
      return null;
    end if;
    insert into audit_entries
      (namespace_id, id, account_id, created_at, actor_type, actor_id, action, target_id, before, after, request_id, address)
    values (
      coalesce(any_row ->> 'namespace_id', case when tg_argv[0] = 'namespace' then any_row ->> 'id' end, ''),
      new_audit_id(),
      coalesce(
        any_row ->> 'account_id', case when tg_argv[0] = 'account' then any_row ->> 'id' end, ${accountOf},
        origin ->> 'accountId', ''),
      clock_timestamp(),
      coalesce(origin ->> 'actorType', 'service'),
      coalesce(origin ->> 'actorId', ''),
      case tg_op when 'INSERT' then tg_argv[0] || '.create' when 'DELETE' then tg_argv[0] || '.delete' else ${label} end,
      any_row ->> 'id',
      case when tg_op <> 'INSERT' then was end,
      case when tg_op <> 'DELETE' then became end,
      coalesce(origin ->> 'requestId', ''),
      coalesce(origin ->> 'address', '')
    );
    return null;
  end
  $body$`;
}

/**
 * Statements that label changes with `actions`: future ones, and recorded updates as far as their columns show the action. For the
 * owner of a schema that has an audit log.
 *
 * @param accountOf as in `RecordChangeOptions`
 */
export function labelActions(actions: readonly AuditAction[], accountOf?: RawBuilder<unknown>): RawBuilder<unknown>[] {
  const label = updateLabel(actions, { kind: sql`split_part(action, '.', 1)`, became: sql`after` });
  return [
    recordChange({ actions, accountOf }),
    // Row-level security binds the owner too.
    sql`alter table audit_entries no force row level security`,
    sql`update audit_entries set action = ${label} where action like '%.update' and action <> ${label}`,
    sql`alter table audit_entries force row level security`,
  ];
}
