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
import { reconcile, type ReconciliationStore } from "../domain/reconciliation.ts";
import { type Dimension, largestOf, roundDays, totalOf, usageRange, wholeHours } from "../domain/usage.ts";
import {
  fromProtoDimension,
  fromProtoMeasure,
  toProtoDifference,
  toProtoGroup,
  toProtoTotals,
} from "./convert-usage.ts";
import { fromProtoDeadLetterState, toProtoDeadLetter, toProtoDeadLetterInFull } from "./convert-dead-letter.ts";

const DEFAULT_PAGE_SIZE = 25;
const LIST = "dead-letters";
const RECONCILED = "reconciled-namespaces";
/** Time after which a call reads no further namespace: well below the time-outs of callers. */
const TIME_LIMIT_MS = 3_000;

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
      const after = fromPageToken(RECONCILED, pageToken, (id) => parseId("ns", id));
      const { differences, namespaceCount, keptFrom, lastNamespace } = await reconcile(
        reconciliation,
        range,
        after,
        TIME_LIMIT_MS,
      );
      return {
        from: toTimestamp(range.from),
        to: toTimestamp(range.to),
        namespaceCount,
        differences: differences.map(toProtoDifference),
        nextPageToken: lastNamespace === undefined ? "" : toPageToken(RECONCILED, lastNamespace),
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
