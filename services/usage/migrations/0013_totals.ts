import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

const COUNTERS = sql.raw("request_count, prompt_tokens, completion_tokens, cost_nano_usd");
const SUMS = sql.raw("sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)");

/** Tables that fill the totals. Row-level security binds the owner too: not forced meanwhile, with the tables locked. */
const SOURCES = ["requests", "rollups_hourly"] as const;

/**
 * Totals of a namespace by five minutes and by day of UTC, over all requests that were not denied, for usage without grouping or
 * filters. Written in the same transaction as a row. An aggregator of the previous release writes rows without them and must be
 * stopped first.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const force = SOURCES.map((table) => sql`alter table ${sql.table(table)} force row level security`);
  const lift = SOURCES.map((table) => sql`alter table ${sql.table(table)} no force row level security`);
  const statements = [
    sql`create table totals (
      namespace_id text collate "C" not null,
      -- How long the time is that it is the total of.
      minutes smallint not null check (minutes in (5, 1440)),
      -- First moment of it, in UTC.
      bucket timestamptz not null,
      request_count bigint not null check (request_count >= 0),
      prompt_tokens bigint not null check (prompt_tokens >= 0),
      completion_tokens bigint not null check (completion_tokens >= 0),
      cost_nano_usd bigint not null check (cost_nano_usd >= 0),
      primary key (namespace_id, minutes, bucket)
    ) with (fillfactor = 70)`, // As of the rollups (0003).
    ...lift,
    ...fill(),
    ...force,
    sql`create index totals_by_time on totals (minutes, bucket)`,
    ...isolateBy("totals", QUERY_ROLE, { setting: "namespace_id", column: "namespace_id" }),
    ...openToNode("totals", QUERY_ROLE),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on totals to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on totals to ${sql.id(QUERY_ROLE)}`,
    sql`grant insert, select, update (${COUNTERS}) on totals to ${AGGREGATOR_ROLE}`,
  ];
  for (const statement of statements) await statement.execute(db);
}

/** Fills the totals. Usage of rows that are gone is known by the hour only: it goes to the first five minutes of the hour. */
function fill() {
  return [
    sql`insert into totals (namespace_id, minutes, bucket, ${COUNTERS})
      select namespace_id, 5, date_bin('5 minutes', created_at, timestamptz '2000-01-01 00:00:00Z'), count(*), ${SUMS}
      from requests where status <> 'denied' and created_at >= (select kept_from from retention) group by 1, 3
      union all
      select namespace_id, 5, bucket, sum(request_count), ${SUMS}
      from rollups_hourly where status <> 'denied' and bucket < (select kept_from from retention) group by 1, 3`,
    sql`insert into totals (namespace_id, minutes, bucket, ${COUNTERS})
      select namespace_id, 1440, date_bin('1 day', bucket, timestamptz '2000-01-01 00:00:00Z'), sum(request_count), ${SUMS}
      from totals group by 1, 3`,
  ];
}
