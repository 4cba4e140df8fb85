import { isolateBy, openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const QUERY_ROLE = "routeplane_usage";
const AGGREGATOR = "routeplane_aggregator";

/**
 * The id of the installation, by which its stream of usage events is told from that of another one; and the aggregators that
 * run, with the partitions that each of them owns.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table installation (
      only_row boolean primary key default true check (only_row),
      id uuid not null default gen_random_uuid()
    )`,
    // Before row-level security, which is forced on the owner too.
    sql`insert into installation default values`,
    ...openToNode("installation", AGGREGATOR),
    ...isolateBy("installation", QUERY_ROLE, { setting: "node", column: "node" }).slice(1),
    sql`grant select on installation to ${sql.id(AGGREGATOR)}, ${sql.id(QUERY_ROLE)}`,
    sql`create table aggregators (
      -- Of one run of one process.
      id uuid primary key,
      partitions integer[] not null,
      -- When others may take its partitions, unless it has registered again.
      expires_at timestamptz not null
    )`,
    ...openToNode("aggregators", AGGREGATOR),
    sql`grant select, insert, update, delete on aggregators to ${sql.id(AGGREGATOR)}`,
  ];
  for (const statement of statements) await statement.execute(db);
}
