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

/** Age up to which requests are compared: the retention of reservations, a day, less an hour for clocks that differ. */
const COMPARED_MS = 23 * 60 * 60 * 1000;
/** Time after which a call begins no further page: well below its deadline. */
const TIME_LIMIT_MS = 3_000;
const LIST = "reconciled-budgets";
/** Parts of a reconciliation, each with its word in page tokens. */
const PART_WORDS: readonly (readonly [part: ReconciliationCursor["part"], word: string])[] = [
  ["reservations", "holds"],
  ["requests", "requests"],
  ["counters", "counters"],
  ["end", "end"],
];

export function budgetAdminService(
  dependencies: ReconciliationDependencies,
  clock: Clock,
): ServiceImpl<typeof BudgetAdminService> {
  return {
    async reconcileBudgets({ from, to, pageToken }, context) {
      wholeNodeOperatorOf(context);
      const now = new Date(clock());
      const oldest = new Date(now.getTime() - COMPARED_MS);
      const requested = { from: fromTimestamp(from) ?? oldest, to: fromTimestamp(to) };
      if (requested.to !== undefined && requested.from >= requested.to) throw invalidField("from", "must be before to");
      const cursor = fromPageToken(LIST, pageToken, parseCursor);
      // Requests that are admitted during the call are left to the next one.
      const withCounters = requested.to === undefined || requested.to >= now;
      const range = {
        from: requested.from > oldest ? requested.from : oldest,
        to: withCounters ? now : (requested.to ?? now),
      };
      if (range.from >= range.to) return {};
      const request = { range, withCounters, now, cursor, timeLimitMs: TIME_LIMIT_MS };
      const result = await reconcileBudgets(dependencies, request);
      return {
        comparedFrom: toTimestamp(range.from),
        namespaceCount: result.namespaceCount,
        requestCount: BigInt(result.requestCount),
        runningCount: BigInt(result.runningCount),
        serviceCount: BigInt(result.serviceCount),
        counterCount: BigInt(result.counterCount),
        partialCounterCount: BigInt(result.partialCounterCount),
        differences: toProtoDifferences(result),
        nextPageToken: result.next === undefined ? "" : toPageToken(LIST, formatCursor(result.next)),
      };
    },
  };
}

function formatCursor({ namespaceId, part, after }: ReconciliationCursor): string {
  const word = PART_WORDS.find(([known]) => known === part)?.[1];
  return `${namespaceId} ${word} ${after}`;
}

function parseCursor(text: string): ReconciliationCursor | undefined {
  const [id = "", word = "", after = ""] = text.split(" ");
  const namespaceId = parseId("ns", id);
  const part = PART_WORDS.find(([, known]) => known === word)?.[0];
  return namespaceId && part && { namespaceId, part, after };
}

function toProtoDifferences({
  charges,
  counters,
  sessions,
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
    ...sessions.map(({ namespaceId, difference }) => {
      const { sessionId, bindingId = "", fault, setAsideNano } = difference;
      const value = { sessionId, bindingId, fault, setAsideMicroUsd: nanoToMicro(setAsideNano) };
      return { namespaceId, subject: { case: "session" as const, value } };
    }),
  ];
}
