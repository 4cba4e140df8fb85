import { auditChanges, auditLog } from "@routeplane/audit";
import type { Kysely } from "kysely";

/**
 * The audit log of policies and bindings.
 *
 * Superseded in part: 0003 replaces the trigger of bindings, 0010 the function `record_change`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...auditLog("routeplane_policy"),
    auditChanges("policies", "policy", ["name", "kind", "spec", "disabled_at"]),
    // Superseded by 0003, which records the mode too.
    auditChanges("bindings", "binding", ["policy_id", "principal_type", "principal_id"]),
  ];
  for (const statement of statements) await statement.execute(db);
}
