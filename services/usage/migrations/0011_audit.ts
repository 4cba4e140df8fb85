import { auditChanges, auditLog } from "@routeplane/audit";
import { openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_usage";

/** What operators have done about dead letters. What the aggregator does then is no decision of anybody's. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...auditLog(ROLE),
    ...openToNode("audit_entries", ROLE),
    sql`create index audit_entries_id on audit_entries (id)`,
    auditChanges("dead_letters", "dead_letter", ["state"], {
      events: "update",
      when: sql`new.state in ('replaying', 'discarded')`,
    }),
  ];
  for (const statement of statements) await statement.execute(db);
}
