import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = sql.id("routeplane_policy");
const OWNER = sql.id("routeplane_policy_owner");

/** Condition of a transaction of the whole node. */
const WHOLE_NODE = sql`'this' = (select nullif(current_setting('routeplane.node', true), ''))`;

/** Functions that the process calls. They run as the owner, and give up rather than block admissions. */
const FUNCTIONS = [
  "bound_legacy_holds()",
  "validate_legacy_holds()",
  "attach_legacy_holds()",
  "ensure_hold_partitions(integer)",
  "drop_hold_partition()",
  "prune_default_holds(integer)",
  "open_hold_totals()",
  "next_overdue_namespace(text)",
] as const;

/**
 * Reservations (`holds`) are partitioned by the day of their request id, whose first ten digits are its time in milliseconds. The
 * table of before becomes the default partition, which takes no scan, keeps the names of its indexes, and takes every row until
 * the process has given it a bound (`partitionReservations` of the policy service). See docs/adr/0026.
 *
 * A process of the previous release goes on: names, columns, keys, grants and policies are the same.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Changes are announced at once, not at the commit: a table with pending triggers cannot be altered.
    sql`set constraints all immediate`,
    sql`alter table holds rename to holds_legacy`,
    sql`create table holds (like holds_legacy including defaults including constraints) partition by range (request_id)`,
    sql`alter table holds add constraint holds_of_request primary key (namespace_id, key_id, request_id)`,
    sql`create index holds_by_expiry on holds (namespace_id, expires_at) where state = 'open'`,
    // For the previous release alone, which deletes ended reservations one by one.
    sql`create index holds_ended on holds (namespace_id, expires_at) where state <> 'open'`,
    sql`drop policy routeplane_policy_by_namespace_id on holds_legacy`,
    sql`drop policy owner_reads on holds_legacy`,
    sql`revoke all on holds_legacy from ${ROLE}`,
    sql`revoke update (state, closed_at, cost_nano) on holds_legacy from ${ROLE}`,
    ...isolateBy("holds", "routeplane_policy", { setting: "namespace_id", column: "namespace_id" }),
    sql`create policy owner_reads on holds for select to ${OWNER} using (${WHOLE_NODE})`,
    sql`grant select, insert, delete on holds to ${ROLE}`,
    sql`grant update (state, closed_at, cost_nano) on holds to ${ROLE}`,
    sql`alter table holds attach partition holds_legacy default`,
    ...uniqueIdempotencyKeys(),
    holdIdOf(),
    boundLegacy(),
    validateLegacy(),
    ensurePartitions(),
    attachLegacy(),
    dropPartition(),
    pruneDefault(),
    nextOverdueNamespace(),
    openTotals(),
    sql`revoke all on function hold_id_of(timestamptz) from public`,
    ...FUNCTIONS.flatMap((name) => [
      sql`revoke all on function ${sql.raw(name)} from public`,
      sql`grant execute on function ${sql.raw(name)} to ${ROLE}`,
    ]),
  ];
  for (const statement of statements) await statement.execute(db);
}

/**
 * One reservation that is not voided for each idempotency key of a key, over all partitions: no unique index can span them without
 * the request id. Inserts of the same idempotency key wait for each other, and each sees what those before it committed.
 */
function uniqueIdempotencyKeys() {
  return [
    sql`create function require_unused_idempotency_key() returns trigger language plpgsql set search_path = policy, pg_temp as $body$
      begin
        perform pg_advisory_xact_lock(hashtextextended(new.namespace_id || ' ' || new.key_id || ' ' || new.idempotency_key, 8));
        if exists (
          select from holds
          where namespace_id = new.namespace_id and key_id = new.key_id and idempotency_key = new.idempotency_key
            and state <> 'voided' and request_id <> new.request_id
        ) then
          raise exception 'the idempotency key is used' using errcode = 'unique_violation', constraint = 'holds_idempotency_key';
        end if;
        return new;
      end
      $body$`,
    sql`revoke all on function require_unused_idempotency_key() from public`,
    sql`create trigger idempotency_key before insert on holds for each row
      when (new.idempotency_key is not null and new.state <> 'voided') execute function require_unused_idempotency_key()`,
  ];
}

/** The least request id of a moment: ten digits of Crockford base32 are 50 bits, of which a UUIDv7 has its milliseconds in 48. */
function holdIdOf() {
  return sql`
    create function hold_id_of(moment timestamptz) returns text language sql stable set search_path = policy, pg_temp as $body$
      select 'req_' || string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', ((floor(extract(epoch from moment) * 1000)::bigint >> (5 * digit)) & 31)::integer + 1, 1),
        '' order by digit desc)
      from generate_series(0, 9) as digit
    $body$`;
}

/**
 * First step of giving the legacy table a bound: from now on it takes no id of the day after tomorrow or later. Repeated, it moves
 * the bound, so that a step that never came holds up nothing.
 */
function boundLegacy() {
  return sql`
    create function bound_legacy_holds() returns boolean
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    begin
      perform pg_advisory_xact_lock(hashtext('policy.hold_partitions'));
      if not exists (
        select from pg_catalog.pg_class c where c.oid = to_regclass('policy.holds_legacy')
          and pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'
      ) then
        return false;
      end if;
      alter table holds_legacy drop constraint if exists holds_legacy_bound;
      execute format('alter table holds_legacy add constraint holds_legacy_bound check (request_id < %L) not valid',
        hold_id_of(date_trunc('day', now(), 'UTC') + interval '2 days'));
      return true;
    end
    $body$`;
}

/** Second step: reads the whole table, and blocks neither readers nor writers meanwhile. */
function validateLegacy() {
  return sql`
    create function validate_legacy_holds() returns void
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    begin
      alter table holds_legacy validate constraint holds_legacy_bound;
    end
    $body$`;
}

/** Last step: the bound becomes that of a partition, which takes no scan now, and days follow it. */
function attachLegacy() {
  return sql`
    create function attach_legacy_holds() returns void
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    declare
      bound text;
    begin
      perform pg_advisory_xact_lock(hashtext('policy.hold_partitions'));
      select substring(pg_get_constraintdef(oid) from '''(req_[^'']+)''') into bound from pg_catalog.pg_constraint
        where conrelid = to_regclass('policy.holds_legacy') and conname = 'holds_legacy_bound' and convalidated;
      if bound is null or bound <= hold_id_of(now() + interval '1 hour') then
        raise exception 'the legacy table has no valid bound';
      end if;
      alter table holds detach partition holds_legacy;
      execute format('alter table holds attach partition holds_legacy for values from (minvalue) to (%L)', bound);
      alter table holds_legacy drop constraint holds_legacy_bound;
      create table holds_default partition of holds default;
      alter table holds_default enable row level security, force row level security;
      create policy owner_prunes on holds_default to ${OWNER} using (${WHOLE_NODE}) with check (false);
    end
    $body$`;
}

/** Makes the partitions of the days from the end of the legacy table to `days` ahead. */
function ensurePartitions() {
  return sql`
    create function ensure_hold_partitions(days integer) returns setof text
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    declare
      today timestamptz := date_trunc('day', now(), 'UTC');
      first_moment timestamptz;
      first_id text collate "C";
      end_id text collate "C";
      legacy_end text collate "C";
      name text;
      moved integer;
      -- They are moved within moments.
      MAX_MOVED constant integer := 10000;
    begin
      if days not between 1 and 30 then
        raise exception 'days must be from 1 to 30, not %', days;
      end if;
      perform pg_advisory_xact_lock(hashtext('policy.hold_partitions'));
      if to_regclass('policy.holds_default') is null then
        return;
      end if;
      select substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)') into legacy_end
        from pg_catalog.pg_class c where c.oid = to_regclass('policy.holds_legacy');
      for ahead in 0 .. days loop
        first_moment := today + make_interval(days => ahead);
        name := 'holds_d' || to_char(first_moment at time zone 'UTC', 'YYYYMMDD');
        continue when to_regclass('policy.' || name) is not null or hold_id_of(first_moment) < legacy_end;
        first_id := hold_id_of(first_moment);
        end_id := hold_id_of(first_moment + interval '1 day');
        execute format('create table %I (like holds including defaults including constraints)', name);
        -- Nobody adds to it meanwhile: ids of that day, of a clock that is days ahead, move to the new partition.
        lock table holds_default in access exclusive mode;
        with early as (select ctid from holds_default where request_id >= first_id and request_id < end_id limit MAX_MOVED + 1)
          select count(*) into moved from early;
        if moved > MAX_MOVED then
          raise exception 'the default partition has more than % reservations of the day of %', MAX_MOVED, name;
        end if;
        if moved > 0 then
          execute format('with moved as (delete from holds_default where request_id >= %L and request_id < %L returning *)
            insert into %I select * from moved', first_id, end_id, name);
        end if;
        execute format('alter table holds attach partition %I for values from (%L) to (%L)', name, first_id, end_id);
        execute format('alter table %I enable row level security, force row level security', name);
        execute format('create index %I on %I (namespace_id, key_id, idempotency_key)
          where idempotency_key is not null and state <> ''voided''', name || '_idempotency_key', name);
        -- Small, and no update writes it: it finds what ended or expires late in a day that is over.
        execute format('create index %I on %I using brin (closed_at, expires_at)', name || '_times', name);
        return next name;
      end loop;
    end
    $body$`;
}

/**
 * Function that drops the oldest partition of which every reservation ended and expired more than a day ago; it returns its name, or null. Writers of
 * that partition wait meanwhile, and nobody else does. Superseded by 0013, which also keeps the rows of gateway sessions.
 */
function dropPartition() {
  return sql`
    create function drop_hold_partition() returns text
    language plpgsql security definer set search_path = policy, pg_temp set lock_timeout = '500ms' as $body$
    declare
      old record;
      kept text;
      is_kept boolean;
      kept_from timestamptz := now() - interval '24 hours';
    begin
      perform pg_advisory_xact_lock(hashtext('policy.hold_partitions'));
      for old in
        select * from (
          select c.relname as name, substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \\(''([^'']+)''\\)') as first_id,
            substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([^'']+)''\\)') as end_id
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'policy.holds'::regclass
        ) as partition
        where end_id collate "C" <= hold_id_of(kept_from) order by end_id collate "C"
      loop
        kept := format('select exists (select from holds where request_id >= %L and request_id < %L
          and (state = ''open'' or closed_at >= %L or expires_at >= %L))', coalesce(old.first_id, ''), old.end_id, kept_from, kept_from);
        execute kept into is_kept;
        continue when is_kept;
        execute format('lock table %I in share mode', old.name);
        execute kept into is_kept;
        continue when is_kept;
        execute format('drop table %I', old.name);
        return old.name;
      end loop;
      return null;
    end
    $body$`;
}

/** Deletes at most `max_rows` ended reservations of ids that belong to no day, of a clock that is days off. Returns how many it deleted. */
function pruneDefault() {
  return sql`
    create function prune_default_holds(max_rows integer) returns integer
    language plpgsql security definer set search_path = policy, pg_temp as $body$
    declare
      kept_from timestamptz := now() - interval '24 hours';
      deleted integer;
    begin
      if to_regclass('policy.holds_default') is null then
        return 0;
      end if;
      delete from holds_default where ctid = any(array(
        select ctid from holds_default
        where state <> 'open' and closed_at < kept_from and expires_at < kept_from limit max_rows for update skip locked
      ));
      get diagnostics deleted = row_count;
      return deleted;
    end
    $body$`;
}

/** Number of all open reservations, and what they reserve. Reads the index of what is open, and no other rows. */
function openTotals() {
  return sql`
    create function open_hold_totals() returns table (reservations bigint, reserved_nano numeric)
    language sql stable security definer set search_path = policy, pg_temp as $body$
      select count(*), coalesce(sum(amount_nano), 0) from holds where state = 'open'
    $body$`;
}

/** Names the first namespace, in order of id, after another one that has reservations which should have expired an hour ago. */
function nextOverdueNamespace() {
  return sql`
    create function next_overdue_namespace(after text) returns text
    language sql stable security definer set search_path = policy, pg_temp as $body$
      select min(namespace_id) from holds
      where state = 'open' and namespace_id > after and expires_at < now() - interval '1 hour'
    $body$`;
}
