import { auditChanges, auditLog } from "@routeplane/audit";
import { openToNode } from "@routeplane/postgres";
import { type Kysely, sql } from "kysely";

const ROLE = "routeplane_usage";

/**
 * The audit log of dead letters: changes by operators, not those by the aggregator that follow.
 *
 * Superseded in part: 0017 replaces the function `record_change`.
 */
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
