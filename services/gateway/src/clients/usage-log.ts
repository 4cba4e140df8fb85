import { create } from "@bufbuild/protobuf";
import { Outcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import {
  definedFields,
  MAX_GUARDRAIL_DECISIONS,
  MAX_NAME_CHARS,
  MAX_SERVICE_TIER_CHARS,
  MAX_SHADOW_DENIALS,
  MAX_UPSTREAM_ERROR_CHARS,
  MAX_UPSTREAM_ID_CHARS,
  newId,
  printableText,
} from "@routeplane/domain";
import type { EventPublisher } from "@routeplane/events";
import { toTimestamp } from "@routeplane/rpc";
import type { RequestFacts } from "../domain/metering/request-facts.ts";
import type { AdmittedOnSlices } from "../domain/ports/admissions.ts";
import type {
  GuardrailDecision,
  PendingSettlement,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../domain/ports/usage-log.ts";
import type { AppliedPrice } from "../domain/metering/receipt.ts";
import { fromOutboxPayload, type OutboxSession, toSessionPayload, toSettlementPayload } from "./outbox-payload.ts";

const OUTCOMES: Record<Settlement["outcome"], Outcome> = {
  succeeded: Outcome.SUCCEEDED,
  failed: Outcome.FAILED,
  cancelled: Outcome.CANCELLED,
  denied: Outcome.DENIED,
};

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
    recordAdmission(facts, { reservedNanoUsd, expiresAt, price, admittedAt }, pendingRelease, sliced) {
      const times = { expiresAt: toTimestamp(expiresAt), admittedAt: toTimestamp(admittedAt) };
      const value = { reservedNanoUsd, ...times, price: toProtoPrice(price) };
      const event = toProtoEvent(facts, { case: "admitted", value }, sliced?.slices);
      if (sliced === undefined)
        return { committed: publisher.record({ event, completes: pendingRelease }).committed() };
      const { slices, onAcknowledged } = sliced;
      const pendingSettlement = toSettlementPayload(unknownEndOf(facts, slices));
      const record = { event, pendingSettlement, completes: pendingRelease, isNewRequest: true, onAcknowledged };
      const recorded = publisher.record(record);
      return { committed: recorded.committed(), pendingEnd: recorded.pendingSettlementOffset };
    },
    recordSettlement(facts, settlement, pendingSettlement, completes, onAcknowledged) {
      const event = toProtoSettled(facts, settlement, pendingSettlement?.slices);
      const pending = pendingSettlement && toSettlementPayload(pendingSettlement);
      return publisher.recordOrSend({ event, pendingSettlement: pending, completes, onAcknowledged });
    },
    complete: (offset) => publisher.complete(offset),
    recordUnloggedDenials: (denials) => void publisher.recordOrSend({ event: toProtoUnloggedDenials(denials) }),
  };
}

/** End of a request that runs when its process dies: charged in full until it is known. */
function unknownEndOf({ namespaceId, keyId, requestId }: RequestFacts, slices: AdmittedOnSlices): PendingSettlement {
  const amounts = { costNanoUsd: slices.boundNanoUsd, tokens: slices.tokensMax };
  return { namespaceId, keyId, requestId, ...amounts, neverSent: false, slices, isUnknown: true };
}

/** Converts a count of denials, and adds an id by which the aggregator counts it once. */
function toProtoUnloggedDenials({ minute, count, ...denials }: UnloggedDenials): UsageEvent {
  const value = { id: newId("den"), ...denials, minute: toTimestamp(minute), count: BigInt(count) };
  return create(UsageEventSchema, { phase: { case: "unloggedDenials", value } });
}

/**
 * Converts a settlement, within the bounds that make every event fit the spool, however many policies apply and however much an
 * upstream says. Fields with the same name in the contract and the domain are copied.
 */
export function toProtoSettled(facts: RequestFacts, settlement: Settlement, slices?: AdmittedOnSlices): UsageEvent {
  const { price, admittedAt, firstTokenMs, ...fields } = settlement;
  const phase = {
    case: "settled" as const,
    value: definedFields({
      ...fields,
      outcome: OUTCOMES[settlement.outcome],
      completedAt: toTimestamp(settlement.completedAt),
      promptTokens: BigInt(settlement.promptTokens),
      completionTokens: BigInt(settlement.completionTokens),
      errorCode: settlement.errorCode.slice(0, MAX_NAME_CHARS),
      shadowDenials: settlement.shadowDenials.slice(0, MAX_SHADOW_DENIALS),
      guardrailDecisions: settlement.guardrailDecisions.slice(0, MAX_GUARDRAIL_DECISIONS).map(toProtoDecision),
      price: price && toProtoPrice(price),
      admittedAt: admittedAt && toTimestamp(admittedAt),
      cachedPromptTokens: toBigInt(settlement.cachedPromptTokens),
      cacheWriteTokens: toBigInt(settlement.cacheWriteTokens),
      promptAudioTokens: toBigInt(settlement.promptAudioTokens),
      completionAudioTokens: toBigInt(settlement.completionAudioTokens),
      reasoningTokens: toBigInt(settlement.reasoningTokens),
      serviceTier: boundedText(settlement.serviceTier, MAX_SERVICE_TIER_CHARS),
      upstreamRequestId: boundedText(settlement.upstreamRequestId, MAX_UPSTREAM_ID_CHARS),
      upstreamError: boundedText(settlement.upstreamError, MAX_UPSTREAM_ERROR_CHARS),
      timeToFirstTokenMs: firstTokenMs,
    }),
  };
  return toProtoEvent(facts, phase, slices);
}

function toBigInt(count: number | undefined): bigint | undefined {
  return count === undefined ? undefined : BigInt(count);
}

function boundedText(text: string | undefined, maxChars: number): string | undefined {
  return text === undefined ? undefined : printableText(text, maxChars);
}

function toProtoDecision({ blocked, ...decision }: GuardrailDecision) {
  return { ...decision, blockedRequest: blocked === "request", blockedResponse: blocked === "response" };
}

function toProtoPrice(price: AppliedPrice) {
  const { cachedInputPicoUsd, cacheWritePicoUsd, inputAudioPicoUsd, outputAudioPicoUsd, reasoningPicoUsd } = price;
  const { version, inputPicoUsd, outputPicoUsd, requestPicoUsd = 0n } = price;
  const ownRates = { cachedInputPicoUsd, cacheWritePicoUsd, inputAudioPicoUsd, outputAudioPicoUsd, reasoningPicoUsd };
  return { version, inputPicoUsd, outputPicoUsd, requestPicoUsd, ...definedFields(ownRates) };
}

type Phase = NonNullable<Parameters<typeof create<typeof UsageEventSchema>>[1]>["phase"];

/** Creates an event. Facts with the same name in the contract and the domain are copied. */
function toProtoEvent(facts: RequestFacts, phase: Phase, slices?: AdmittedOnSlices): UsageEvent {
  const request = {
    ...facts,
    createdAt: toTimestamp(facts.createdAt),
    ...(slices && { slices: toProtoSlices(slices) }),
  };
  return create(UsageEventSchema, { request, phase: phase ?? { case: undefined } });
}

function toProtoSlices({ sessionId, limitSet, countedAt, tokensMax }: AdmittedOnSlices) {
  const counted = countedAt && { countedAt: toTimestamp(countedAt) };
  return { sessionId, limitSet, ...counted, tokensMax: BigInt(tokensMax) };
}
