import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR = "routeplane_aggregator";

/**
 * The gateway session and the slices that a request was admitted on, null for requests without, as every earlier one; and the
 * position up to which the stream of usage events is recorded. No index: the requests of a session are read by namespace and time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests
      add column session_id text collate "C",
      add column limit_set integer check (limit_set > 0),
      add column counted_at timestamptz,
      add column tokens_max bigint check (tokens_max >= 0)`,
    sql`create table log_position (
      only_row boolean primary key default true check (only_row),
      -- Id of a transaction: everything that was in the stream when it ran is recorded.
      consumed bigint not null default 0,
      -- Time of that transaction, for people.
      consumed_until timestamptz
    )`,
    // Before row-level security, which is forced on the owner too.
    sql`insert into log_position default values`,
    ...openToNode("log_position", AGGREGATOR),
    ...isolateBy("log_position", QUERY_ROLE, { setting: "node", column: "node" }).slice(1),
    sql`grant select, update (consumed, consumed_until) on log_position to ${sql.id(AGGREGATOR)}`,
    sql`grant select on log_position to ${sql.id(QUERY_ROLE)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
