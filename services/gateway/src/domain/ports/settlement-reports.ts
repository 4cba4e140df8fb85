import type { PendingSettlement } from "./usage-log.ts";

/** Outcome of one report: applied by this call or an earlier one; refused for good; or to be reported again. */
export type ReportOutcome = "done" | "refused" | "again";

/** Maximum number of settlements in one report. */
export const MAX_REPORTED = 1_000;

/** Client that reports pending settlements to the policy service, many in a call. */
export interface SettlementReports {
  /**
   * Reports settlements, `MAX_REPORTED` at most. Each is applied exactly once, however often it is reported.
   *
   * @returns their outcomes in the same order
   * @throws DomainError UNAVAILABLE if the service does not answer; another one if it refuses the report as a whole
   */
  report(settlements: readonly PendingSettlement[]): Promise<readonly ReportOutcome[]>;
}
