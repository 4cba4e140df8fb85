import { create } from "@bufbuild/protobuf";
import { UsageEventSchema } from "@routeplane/contracts/events";
import { newId } from "@routeplane/domain";
import { type EventPublisher, toUsageRecord, type UsageRecord } from "@routeplane/events";
import { toTimestamp } from "@routeplane/rpc";
import type { RequestFacts } from "../domain/metering/request-facts.ts";
import type { AdmittedOnSlices } from "../domain/ports/admissions.ts";
import type { PendingSettlement, UnloggedDenials, UsageLog } from "../domain/ports/usage-log.ts";
import { fromOutboxPayload, type OutboxSession, toSessionPayload, toSettlementPayload } from "./outbox-payload.ts";
import { encodeAdmitted, encodeSettled } from "./usage-event-encoder.ts";

/** Creates a usage log over the event publisher: usage events for the aggregator, and pending settlements for the policy service. */
export function createUsageLog(publisher: EventPublisher): UsageLog {
  const left = publisher.pendingFromPreviousRun.map(({ offset, payload }) => ({
    offset,
    content: fromOutboxPayload(payload),
  }));
  let owner: OutboxSession["owner"] = { bootId: "", socket: "" };
  const sessionsFromPreviousRun = publisher.ownership.then((ownership) => {
    ({ owner } = ownership);
    return left.flatMap(({ offset, content: { session } }) => {
      if (session === undefined) return [];
      const hasProof = ownership.isDead(session.owner) && !publisher.isDamaged;
      return [{ offset, sessionId: session.sessionId, hasProof }];
    });
  });
  return {
    pendingFromPreviousRun: left.flatMap(({ offset, content: { settlement } }) =>
      settlement === undefined ? [] : [{ offset, settlement }],
    ),
    sessionsFromPreviousRun,
    previousRunAcknowledged: publisher.previousRunAcknowledged,
    recordSession: (sessionId) => publisher.enqueue(toSessionPayload({ sessionId, owner })),
    isOwner: () => publisher.isOwner(),
    requireCapacity: () => publisher.requireAcceptsNew(),
    enqueueRelease: (key) =>
      publisher.enqueue(toSettlementPayload({ ...key, costNanoUsd: 0n, tokens: 0, neverSent: true })),
    recordAdmission(facts, reservation, pendingRelease, sliced) {
      const { namespaceId } = facts;
      const event = encodeAdmitted(facts, reservation, sliced?.slices);
      if (sliced === undefined)
        return { committed: publisher.record({ event, namespaceId, completes: pendingRelease }).committed() };
      const { slices, onAcknowledged } = sliced;
      const pendingSettlement = toSettlementPayload(unknownEndOf(facts, slices));
      const recorded = publisher.record({
        event,
        namespaceId,
        pendingSettlement,
        completes: pendingRelease,
        isNewRequest: true,
        onAcknowledged,
      });
      return { committed: recorded.committed(), pendingEnd: recorded.pendingSettlementOffset };
    },
    recordSettlement(facts, settlement, pending, completes, onAcknowledged) {
      const { namespaceId } = facts;
      const event = encodeSettled(facts, settlement, pending?.slices);
      const pendingSettlement = pending && toSettlementPayload(pending);
      return publisher.recordOrSend({ event, namespaceId, pendingSettlement, completes, onAcknowledged });
    },
    complete: (offset) => publisher.complete(offset),
    recordUnloggedDenials: (denials) => void publisher.recordOrSend(toDenialsRecord(denials)),
  };
}

/** End of a request whose process dies while it runs: charged in full until the real end is known. */
function unknownEndOf({ namespaceId, keyId, requestId }: RequestFacts, slices: AdmittedOnSlices): PendingSettlement {
  const { boundNanoUsd: costNanoUsd, tokensMax: tokens } = slices;
  return { namespaceId, keyId, requestId, costNanoUsd, tokens, neverSent: false, slices, isUnknown: true };
}

/** Converts a count of denials, and adds an id by which the aggregator counts it once. */
function toDenialsRecord({ minute, count, ...denials }: UnloggedDenials): UsageRecord {
  const value = { id: newId("den"), ...denials, minute: toTimestamp(minute), count: BigInt(count) };
  return toUsageRecord(create(UsageEventSchema, { phase: { case: "unloggedDenials", value } }));
}
