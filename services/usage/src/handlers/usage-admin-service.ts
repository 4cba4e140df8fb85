import type { ServiceImpl } from "@connectrpc/connect";
import { DeadLetterSchema, type UsageAdminService } from "@routeplane/contracts/usage";
import { type Clock, notFound, parseId, requireId } from "@routeplane/domain";
import {
  fromPageToken,
  fromTimestamp,
  toPageToken,
  toProtoPage,
  toTimestamp,
  wholeNodeOperatorOf,
} from "@routeplane/rpc";
import { type DeadLetter, type DeadLetterStore, moveDeadLetter } from "../domain/dead-letters.ts";
import { localDays } from "../domain/local-days.ts";
import type { UsageStore } from "../domain/ports.ts";
import { reconcile, type ReconciliationLimits, type ReconciliationStore } from "../domain/reconciliation.ts";
import { type Dimension, largestOf, roundDays, totalOf, usageRange, wholeHours } from "../domain/usage.ts";
import {
  fromProtoDimension,
  fromProtoMeasure,
  fromReconciliationText,
  toProtoDifference,
  toProtoGroup,
  toProtoTotals,
  toReconciliationText,
} from "./convert-usage.ts";
import { fromProtoDeadLetterState, toProtoDeadLetter, toProtoDeadLetterInFull } from "./convert-dead-letter.ts";

const DEFAULT_PAGE_SIZE = 25;
const LIST = "dead-letters";
const RECONCILED = "reconciled-namespaces";
/** A call ends well before the time-outs of callers, and a part is read in a fraction of the time-out of a statement. */
const RECONCILIATION_LIMITS: ReconciliationLimits = { timeLimitMs: 3_000, partRows: 50_000 };

export function usageAdminService(
  usage: UsageStore,
  deadLetters: DeadLetterStore,
  reconciliation: ReconciliationStore,
  clock: Clock,
): ServiceImpl<typeof UsageAdminService> {
  return {
    async getNodeUsage({ from, to, groupBy, timeZone, latency, largest, largestBy }, context) {
      wholeNodeOperatorOf(context);
      const range = wholeHours(usageRange(fromTimestamp(from), fromTimestamp(to), clock));
      const days = localDays(range, timeZone);
      const dimensions: readonly Dimension[] = ["namespace", ...groupBy.flatMap(fromProtoDimension)];
      const groups = await usage.sumNodeUsage({
        range,
        groupBy: dimensions,
        keyId: undefined,
        model: undefined,
        provider: undefined,
        days: days && roundDays(days, "hour"),
        withLatencies: latency,
        largest: largestOf(largest, fromProtoMeasure(largestBy), dimensions),
      });
      return {
        from: toTimestamp(range.from),
        to: toTimestamp(range.to),
        ...toProtoTotals(totalOf(groups)),
        groups: groups.map((group) => ({ namespaceId: group.namespaceId ?? "", usage: toProtoGroup(group) })),
      };
    },

    async reconcileUsage({ from, to, pageToken }, context) {
      wholeNodeOperatorOf(context);
      const range = wholeHours(usageRange(fromTimestamp(from), fromTimestamp(to), clock));
      const after = fromPageToken(RECONCILED, pageToken, fromReconciliationText);
      const { differences, namespaceCount, keptFrom, next } = await reconcile(
        reconciliation,
        range,
        after,
        RECONCILIATION_LIMITS,
      );
      return {
        from: toTimestamp(range.from),
        to: toTimestamp(range.to),
        namespaceCount,
        differences: differences.map(toProtoDifference),
        nextPageToken: next === undefined ? "" : toPageToken(RECONCILED, toReconciliationText(next)),
        ...(keptFrom && { keptFrom: toTimestamp(keptFrom) }),
      };
    },

    async listDeadLetters({ pageSize, pageToken, state }, context) {
      wholeNodeOperatorOf(context);
      const size = pageSize || DEFAULT_PAGE_SIZE;
      const before = fromPageToken(LIST, pageToken, (id) => parseId("dl", id));
      const letters = await deadLetters.list({ size, before, state: fromProtoDeadLetterState(state) });
      const page = { rows: letters.slice(0, size), hasMore: letters.length > size };
      const { messages, nextPageToken } = toProtoPage(page, {
        list: LIST,
        schema: DeadLetterSchema,
        toProto: toProtoDeadLetter,
        positionOf: (letter) => letter.id,
      });
      return { deadLetters: messages, nextPageToken };
    },

    async getDeadLetter({ id }, context) {
      wholeNodeOperatorOf(context);
      return { deadLetter: toProtoDeadLetterInFull(requireFound(await deadLetters.get(requireId("dl", id)))) };
    },

    async replayDeadLetter({ id }, context) {
      const byId = wholeNodeOperatorOf(context);
      const letter = await moveDeadLetter(deadLetters, requireId("dl", id), "replaying", byId);
      return { deadLetter: toProtoDeadLetter(requireFound(letter)) };
    },

    async discardDeadLetter({ id }, context) {
      const byId = wholeNodeOperatorOf(context);
      const letter = await moveDeadLetter(deadLetters, requireId("dl", id), "discarded", byId);
      return { deadLetter: toProtoDeadLetter(requireFound(letter)) };
    },
  };
}

/** @throws DomainError NOT_FOUND if there is none */
function requireFound(letter: DeadLetter | undefined): DeadLetter {
  if (letter === undefined) throw notFound();
  return letter;
}
