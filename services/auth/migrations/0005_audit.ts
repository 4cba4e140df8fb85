import { auditChanges, auditLog } from "@routeplane/audit";
import type { Kysely } from "kysely";

/**
 * The audit log of accounts, namespaces, operator credentials and keys.
 *
 * Superseded in part: 0006 replaces the trigger of operators and the function `record_change`, which 0009 replaces again.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...auditLog("routeplane_auth"),
    auditChanges("accounts", "account", ["name"]),
    auditChanges("namespaces", "namespace", ["name", "suspended_at", "deleted_at"]),
    // Superseded by 0006, which records more columns.
    auditChanges("operators", "operator", ["name", "revoked_at"]),
    auditChanges("keys", "key", [
      "name",
      "prefix",
      "scopes",
      "parent_id",
      "expires_at",
      "revoked_at",
      "revoked_reason",
    ]),
  ];
  for (const statement of statements) await statement.execute(db);
}
