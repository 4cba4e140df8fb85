import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = sql.id("routeplane_usage");
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

/** Columns that a settlement changes in the row of an admission. */
const SETTLED_COLUMNS = sql.raw(
  `status, prompt_tokens, completion_tokens, cost_nano_usd, reserved_nano_usd, estimated, http_status, error_code,
   denied_by_policy_id, completed_at`,
);

/** Number of monthly partitions that are made, from the current month on. */
const MONTHS = 4;

/**
 * The request log, in monthly partitions.
 *
 * Superseded in part: 0002 changes the collation of `denied_by_policy_id`, 0005 the check of the status, 0006 the index by time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table requests (
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      -- Part of the identity, because a key of a partitioned table holds what partitions it: the same in every event.
      created_at timestamptz not null,
      key_id text collate "C" not null,
      status text collate "C" not null check (status in ('pending', 'succeeded', 'failed', 'cancelled', 'denied')),
      endpoint text not null,
      model text not null,
      provider text not null,
      streamed boolean not null,
      reserved_nano_usd bigint not null check (reserved_nano_usd >= 0),
      prompt_tokens bigint not null check (prompt_tokens >= 0),
      completion_tokens bigint not null check (completion_tokens >= 0),
      cost_nano_usd bigint not null check (cost_nano_usd >= 0),
      estimated boolean not null,
      http_status integer not null,
      error_code text not null,
      denied_by_policy_id text not null,
      completed_at timestamptz,
      check ((status = 'pending') = (completed_at is null)),
      primary key (namespace_id, id, created_at)
    ) partition by range (created_at)`,
    // Superseded by 0006, which also orders by id.
    sql`create index requests_by_time on requests (namespace_id, created_at)`,
    // For times without a partition: no row is refused for its time.
    sql`create table requests_default partition of requests default`,
    sql`alter table requests_default enable row level security, force row level security`,
    ...isolateBy("requests", "routeplane_usage", { setting: "namespace_id", column: "namespace_id" }),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on requests to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on requests to ${QUERY_ROLE}`,
    sql`grant insert, select, update (${SETTLED_COLUMNS}) on requests to ${AGGREGATOR_ROLE}`,
    createPartitionFunction(),
    sql`revoke all on function ensure_request_partitions(integer) from public`,
    sql`grant execute on function ensure_request_partitions(integer) to ${AGGREGATOR_ROLE}`,
    sql`select ensure_request_partitions(${sql.lit(MONTHS)})`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/**
 * A function that makes partitions. It runs as the owner, for a caller that cannot create tables. A partition has row-level
 * security of its own and no policy: a query that names it directly sees nothing; through the parent, the parent's policies apply.
 */
function createPartitionFunction() {
  return sql`
    create function ensure_request_partitions(months integer) returns setof text
    language plpgsql security definer set search_path = usage, pg_temp as $body$
    declare
      this_month timestamp := date_trunc('month', now() at time zone 'UTC');
      first_day timestamp;
      partition_name text;
    begin
      if months not between 1 and 24 then
        raise exception 'months must be from 1 to 24, not %', months;
      end if;
      perform pg_advisory_xact_lock(hashtext('usage.ensure_request_partitions'));
      for ahead in 0 .. months - 1 loop
        first_day := this_month + make_interval(months => ahead);
        partition_name := 'requests_' || to_char(first_day, '"y"YYYY"m"MM');
        continue when to_regclass('usage.' || partition_name) is not null;
        execute format(
          'create table %I partition of requests for values from (%L) to (%L)',
          partition_name,
          first_day at time zone 'UTC',
          (first_day + interval '1 month') at time zone 'UTC'
        );
        execute format('alter table %I enable row level security, force row level security', partition_name);
        return next partition_name;
      end loop;
    end
    $body$`;
}
