import { type Kysely, sql } from "kysely";

/** Status `unknown`, for requests whose outcome no gateway reported. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`alter table requests add expires_at timestamptz`,
    // For an aggregator of the previous release, which does not write the column.
    sql`alter table requests alter expires_at set default now() + interval '1 day'`,
    sql`alter table requests
      drop constraint requests_status_check,
      add constraint requests_status_check
        check (status in ('pending', 'succeeded', 'failed', 'cancelled', 'denied', 'unknown'))`,
    // Row-level security binds the owner too and no policy shows it a row: not forced while this writes.
    sql`alter table requests no force row level security`,
    sql`update requests set expires_at = default where status = 'pending'`,
    sql`alter table requests force row level security`,
    sql`grant update (expires_at) on requests to ${sql.id("routeplane_aggregator")}`,
    // Small: contains running requests only. Finds those that expired.
    sql`create index requests_pending on requests (expires_at) where status = 'pending'`,
  ];
  for (const statement of statements) await statement.execute(db);
}
