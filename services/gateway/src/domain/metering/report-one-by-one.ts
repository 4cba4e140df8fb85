import { type Logger, withRequestId } from "@routeplane/runtime";
import type { Admissions } from "../ports/admissions.ts";
import type { ReportOutcome, SettlementReports } from "../ports/settlement-reports.ts";
import type { PendingSettlement } from "../ports/usage-log.ts";
import { isLastingRefusal } from "./lasting-refusal.ts";

/** Calls that are made at a time. */
const CONCURRENCY = 16;

/** Reports settlements by a call each, for a policy service of a release that takes no reports in bulk. */
export function reportOneByOne(admissions: Pick<Admissions, "settle" | "release">, log: Logger): SettlementReports {
  const reportOne = async (settlement: PendingSettlement): Promise<ReportOutcome> => {
    const { costNanoUsd, tokens, requestId, neverSent } = settlement;
    // A request on slices is unknown to such a service, which has granted none: its settlement waits for a newer one.
    if (settlement.slices !== undefined) return "again";
    const isUnused = costNanoUsd === 0n && tokens === 0;
    try {
      await withRequestId(requestId, () =>
        isUnused ? admissions.release(settlement, neverSent) : admissions.settle(settlement, { costNanoUsd, tokens }),
      );
      return "done";
    } catch (error) {
      if (!isLastingRefusal(error)) return "again";
      log.warn({ err: error, requestId }, "settlement refused by the policy service");
      return "refused";
    }
  };
  return {
    async report(settlements) {
      const outcomes: ReportOutcome[] = settlements.map(() => "again");
      const rest = settlements.entries();
      const reportRest = async (): Promise<void> => {
        for (const [index, settlement] of rest) outcomes[index] = await reportOne(settlement);
      };
      await Promise.all(Array.from({ length: Math.min(CONCURRENCY, settlements.length) }, reportRest));
      return outcomes;
    },
  };
}
