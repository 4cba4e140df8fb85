import { auditChanges, auditLog } from "@routeplane/audit";
import type { Kysely } from "kysely";

/** Who changed which policy or binding. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...auditLog("routeplane_policy"),
    auditChanges("policies", "policy", ["name", "kind", "spec", "disabled_at"]),
    auditChanges("bindings", "binding", ["policy_id", "principal_type", "principal_id"]),
  ];
  for (const statement of statements) await statement.execute(db);
}
