import { isolateBy } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = sql.id("routeplane_usage");
const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

const COUNTERS = sql.raw("request_count, prompt_tokens, completion_tokens, cost_nano_usd");

/**
 * Rollups of the request log by hour and by day of UTC, written in the same transaction as a row. Filled here from the rows that
 * exist. An aggregator of the previous release writes rows without them and must be stopped first.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const tables = [
    ["rollups_hourly", "hour"],
    ["rollups_daily", "day"],
  ] as const;
  // Row-level security binds the owner too and no policy shows it a row: not forced while this reads, with the table locked.
  await sql`alter table requests no force row level security`.execute(db);
  for (const [table, unit] of tables) {
    for (const statement of rollup(table, unit)) await statement.execute(db);
  }
  await sql`alter table requests force row level security`.execute(db);
}

function rollup(table: string, unit: "hour" | "day") {
  return [
    sql`create table ${sql.table(table)} (
      namespace_id text collate "C" not null,
      -- First moment of the ${sql.raw(unit)}, in UTC.
      bucket timestamptz not null,
      key_id text collate "C" not null,
      model text collate "C" not null,
      provider text collate "C" not null,
      status text collate "C" not null,
      request_count bigint not null check (request_count >= 0),
      prompt_tokens bigint not null check (prompt_tokens >= 0),
      completion_tokens bigint not null check (completion_tokens >= 0),
      cost_nano_usd bigint not null check (cost_nano_usd >= 0),
      primary key (namespace_id, bucket, key_id, model, provider, status)
    ) with (fillfactor = 70)`, // Leaves space for the next version of a row on its page, which needs no index entry then.
    sql`insert into ${sql.table(table)}
      select namespace_id, date_trunc(${sql.lit(unit)}, created_at, 'UTC'), key_id, model, provider, status,
        count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost_nano_usd)
      from requests group by 1, 2, 3, 4, 5, 6`,
    ...isolateBy(table, "routeplane_usage", { setting: "namespace_id", column: "namespace_id" }),
    // The aggregator, the only writer, writes rows of every namespace.
    sql`create policy aggregator_writes on ${sql.table(table)} to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select on ${sql.table(table)} to ${QUERY_ROLE}`,
    sql`grant insert, select, update (${COUNTERS}) on ${sql.table(table)} to ${AGGREGATOR_ROLE}`,
  ];
}
