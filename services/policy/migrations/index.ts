import type { Migrations } from "@routeplane/postgres";
import * as budgets from "./0001_budgets.ts";
import * as audit from "./0002_audit.ts";
import * as policyKinds from "./0003_policy_kinds.ts";
import * as changes from "./0004_changes.ts";
import * as operatorAudit from "./0005_operator_audit.ts";
import * as counters from "./0006_counters.ts";
import * as reconcile from "./0007_reconcile.ts";
import * as idempotencyKeys from "./0008_idempotency_keys.ts";
import * as creators from "./0009_creators.ts";
import * as auditActions from "./0010_audit_actions.ts";
import * as namesAndSizes from "./0011_names_and_sizes.ts";
import * as holdPartitions from "./0012_hold_partitions.ts";
import * as gatewaySessions from "./0013_gateway_sessions.ts";
import * as sessionEndings from "./0014_session_endings.ts";
import * as mintedLimits from "./0015_minted_limits.ts";
import * as calendarWindows from "./0016_calendar_windows.ts";
import * as serviceReservations from "./0017_service_reservations.ts";

export const migrations: Migrations = {
  "0001_budgets": budgets,
  "0002_audit": audit,
  "0003_policy_kinds": policyKinds,
  "0004_changes": changes,
  "0005_operator_audit": operatorAudit,
  "0006_counters": counters,
  "0007_reconcile": reconcile,
  "0008_idempotency_keys": idempotencyKeys,
  "0009_creators": creators,
  "0010_audit_actions": auditActions,
  "0011_names_and_sizes": namesAndSizes,
  "0012_hold_partitions": holdPartitions,
  "0013_gateway_sessions": gatewaySessions,
  "0014_session_endings": sessionEndings,
  "0015_minted_limits": mintedLimits,
  "0016_calendar_windows": calendarWindows,
  "0017_service_reservations": serviceReservations,
};
