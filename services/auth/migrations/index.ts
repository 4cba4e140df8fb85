import type { Migrations } from "@routeplane/postgres";
import * as keys from "./0001_keys.ts";
import * as changes from "./0002_changes.ts";
import * as keyLifecycle from "./0003_key_lifecycle.ts";
import * as namespaceLifecycle from "./0004_namespace_lifecycle.ts";
import * as audit from "./0005_audit.ts";
import * as operators from "./0006_operators.ts";
import * as accounts from "./0007_accounts.ts";
import * as auditOrder from "./0008_audit_order.ts";
import * as auditActions from "./0009_audit_actions.ts";
import * as revokedKeys from "./0010_revoked_keys.ts";
import * as limitedKeys from "./0011_limited_keys.ts";
import * as serviceCredentials from "./0012_service_credentials.ts";
import * as sessions from "./0013_sessions.ts";

export const migrations: Migrations = {
  "0001_keys": keys,
  "0002_changes": changes,
  "0003_key_lifecycle": keyLifecycle,
  "0004_namespace_lifecycle": namespaceLifecycle,
  "0005_audit": audit,
  "0006_operators": operators,
  "0007_accounts": accounts,
  "0008_audit_order": auditOrder,
  "0009_audit_actions": auditActions,
  "0010_revoked_keys": revokedKeys,
  "0011_limited_keys": limitedKeys,
  "0012_service_credentials": serviceCredentials,
  "0013_sessions": sessions,
};
