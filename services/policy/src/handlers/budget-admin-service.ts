import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { BudgetAdminService, BudgetDifferenceSchema } from "@routeplane/contracts/policy";
import { type Clock, invalidField, nanoToMicro, parseId } from "@routeplane/domain";
import { fromPageToken, fromTimestamp, toPageToken, toTimestamp, wholeNodeOperatorOf } from "@routeplane/rpc";
import {
  type BudgetReconciliation,
  type ReconciliationCursor,
  reconcileBudgets,
  type ReconciliationDependencies,
} from "../domain/reconciliation/reconciliation.ts";

/** What a request took from budgets is kept for a day after its time; an hour less, for clocks that differ. */
const COMPARED_MS = 23 * 60 * 60 * 1000;
/** Of one call: well below what a caller waits for. */
const RECONCILE_MS = 3_000;
const LIST = "reconciled-budgets";
const PARTS = ["holds", "requests", "counters", "end"] as const;

export function budgetAdminService(
  dependencies: ReconciliationDependencies,
  clock: Clock,
): ServiceImpl<typeof BudgetAdminService> {
  return {
    async reconcileBudgets({ from, to, pageToken }, context) {
      wholeNodeOperatorOf(context);
      const now = new Date(clock());
      const kept = new Date(now.getTime() - COMPARED_MS);
      const asked = { from: fromTimestamp(from) ?? kept, to: fromTimestamp(to) };
      if (asked.to !== undefined && asked.from >= asked.to) throw invalidField("from", "must be before to");
      const cursor = fromPageToken(LIST, pageToken, parseCursor);
      // What is admitted while this reads is for the next time.
      const withCounters = asked.to === undefined || asked.to >= now;
      const range = { from: asked.from > kept ? asked.from : kept, to: withCounters ? now : (asked.to ?? now) };
      if (range.from >= range.to) return {};
      const request = { range, withCounters, now, cursor, budgetMs: RECONCILE_MS };
      const found = await reconcileBudgets(dependencies, request);
      return {
        comparedFrom: toTimestamp(range.from),
        namespaceCount: found.namespaceCount,
        requestCount: BigInt(found.requestCount),
        runningCount: BigInt(found.runningCount),
        counterCount: BigInt(found.counterCount),
        partialCounterCount: BigInt(found.partialCounterCount),
        differences: toProtoDifferences(found),
        nextPageToken: found.next === undefined ? "" : toPageToken(LIST, formatCursor(found.next)),
      };
    },
  };
}

function formatCursor({ namespaceId, part, after }: ReconciliationCursor): string {
  return `${namespaceId} ${part} ${after}`;
}

function parseCursor(text: string): ReconciliationCursor | undefined {
  const [id = "", name = "", after = ""] = text.split(" ");
  const namespaceId = parseId("ns", id);
  const part = PARTS.find((each) => each === name);
  return namespaceId && part && { namespaceId, part, after };
}

function toProtoDifferences({
  charges,
  counters,
}: BudgetReconciliation): MessageInitShape<typeof BudgetDifferenceSchema>[] {
  return [
    ...charges.map(({ namespaceId, difference }) => {
      const { keyId, requestId, budgetNano, reservationState = "", logNano, requestStatus = "" } = difference;
      const amounts = { budgetMicroUsd: nanoToMicro(budgetNano), logMicroUsd: nanoToMicro(logNano) };
      const value = { keyId, requestId, holdState: reservationState, requestStatus, ...amounts };
      return { namespaceId, subject: { case: "charge" as const, value } };
    }),
    ...counters.map(({ namespaceId, difference }) => {
      const { policyId, bindingId, quantity, counted, min, max, since } = difference;
      const value = {
        policyId,
        bindingId,
        quantity,
        countedMicroUsd: nanoToMicro(counted),
        expectedMicroUsd: nanoToMicro(min),
        ...(max !== undefined && { expectedMicroUsdMax: nanoToMicro(max) }),
        ...(since && { since: toTimestamp(since) }),
      };
      return { namespaceId, subject: { case: "counter" as const, value } };
    }),
  ];
}
