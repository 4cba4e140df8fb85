import { auditChanges, auditLog } from "@routeplane/audit";
import type { Kysely } from "kysely";

/** Who changed which account, namespace, operator credential or key. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    ...auditLog("routeplane_auth"),
    auditChanges("accounts", "account", ["name"]),
    auditChanges("namespaces", "namespace", ["name", "suspended_at", "deleted_at"]),
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
