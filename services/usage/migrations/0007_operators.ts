import { openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const AGGREGATOR_ROLE = sql.id("routeplane_aggregator");

/** Usage of every namespace, in sums only, for operators of the node; and dead letters. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...openToNode("rollups_hourly", "routeplane_usage"),
    ...openToNode("rollups_daily", "routeplane_usage"),
    sql`create index rollups_hourly_by_time on rollups_hourly (bucket)`,
    sql`create index rollups_daily_by_time on rollups_daily (bucket)`,
    sql`create table dead_letters (
      -- What it says of itself: empty if it cannot be read.
      namespace_id text collate "C" not null,
      id text collate "C" not null,
      request_id text collate "C" not null,
      created_at timestamptz not null default clock_timestamp(),
      reason text not null,
      payload bytea not null,
      -- Of the payload, SHA-256 in hex: what comes again is no second dead letter.
      digest text collate "C" not null,
      state text collate "C" not null default 'held' check (state in ('held', 'replaying', 'replayed', 'discarded')),
      changed_at timestamptz,
      changed_by_id text collate "C" not null default '',
      primary key (namespace_id, id),
      unique (namespace_id, digest)
    )`,
    ...openToNode("dead_letters", "routeplane_usage"),
    sql`alter table dead_letters enable row level security, force row level security`,
    sql`create policy aggregator_writes on dead_letters to ${AGGREGATOR_ROLE} using (true) with check (true)`,
    sql`grant select, update (state, changed_at, changed_by_id) on dead_letters to ${sql.id("routeplane_usage")}`,
    sql`grant select, insert, update (state, changed_at, reason) on dead_letters to ${AGGREGATOR_ROLE}`,
    sql`create index dead_letters_to_replay on dead_letters (id) where state = 'replaying'`,
    sql`create index dead_letters_in_order on dead_letters (id)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
