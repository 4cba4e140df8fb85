import type { Migrations } from "@routeplane/postgres";
import * as requests from "./0001_requests.ts";
import * as deniedPolicyCollation from "./0002_denied_policy_collation.ts";
import * as rollups from "./0003_rollups.ts";
import * as denials from "./0004_denials.ts";
import * as unknown from "./0005_unknown.ts";
import * as requestIndexes from "./0006_request_indexes.ts";
import * as operators from "./0007_operators.ts";
import * as retention from "./0008_retention.ts";
import * as ended from "./0009_ended.ts";
import * as kept from "./0010_kept.ts";
import * as audit from "./0011_audit.ts";
import * as receipt from "./0012_receipt.ts";
import * as totals from "./0013_totals.ts";
import * as guardrailDecisions from "./0014_guardrail_decisions.ts";
import * as unloggedDenials from "./0015_unlogged_denials.ts";
import * as billedModel from "./0016_billed_model.ts";
import * as auditActions from "./0017_audit_actions.ts";
import * as tokenParts from "./0018_token_parts.ts";
import * as exactSums from "./0019_exact_sums.ts";
import * as installation from "./0021_installation.ts";
import * as boundSums from "./0022_bound_sums.ts";
import * as validateSums from "./0023_validate_sums.ts";
import * as sumPartitions from "./0024_sum_partitions.ts";
import * as sessions from "./0025_sessions.ts";
import * as attempts from "./0026_attempts.ts";
import * as deniedAmounts from "./0027_denied_amounts.ts";
import * as latencies from "./0028_latencies.ts";
import * as keptFrom from "./0029_kept_from.ts";
import * as moveDefaultRows from "./0030_move_default_rows.ts";

export const migrations: Migrations = {
  "0001_requests": requests,
  "0002_denied_policy_collation": deniedPolicyCollation,
  "0003_rollups": rollups,
  "0004_denials": denials,
  "0005_unknown": unknown,
  "0006_request_indexes": requestIndexes,
  "0007_operators": operators,
  "0008_retention": retention,
  "0009_ended": ended,
  "0010_kept": kept,
  "0011_audit": audit,
  "0012_receipt": receipt,
  "0013_totals": totals,
  "0014_guardrail_decisions": guardrailDecisions,
  "0015_unlogged_denials": unloggedDenials,
  "0016_billed_model": billedModel,
  "0017_audit_actions": auditActions,
  "0018_token_parts": tokenParts,
  "0019_exact_sums": exactSums,
  "0021_installation": installation,
  "0022_bound_sums": boundSums,
  "0023_validate_sums": validateSums,
  "0024_sum_partitions": sumPartitions,
  "0025_sessions": sessions,
  "0026_attempts": attempts,
  "0027_denied_amounts": deniedAmounts,
  "0028_latencies": latencies,
  "0029_kept_from": keptFrom,
  "0030_move_default_rows": moveDefaultRows,
};
