import { create } from "@bufbuild/protobuf";
import { Outcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import {
  definedFields,
  type Id,
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
import type {
  GuardrailDecision,
  PendingSettlement,
  Settlement,
  UnloggedDenials,
  UsageLog,
} from "../domain/ports/usage-log.ts";
import type { AppliedPrice } from "../domain/metering/receipt.ts";

const OUTCOMES: Record<Settlement["outcome"], Outcome> = {
  succeeded: Outcome.SUCCEEDED,
  failed: Outcome.FAILED,
  cancelled: Outcome.CANCELLED,
  denied: Outcome.DENIED,
};

/** Creates a usage log over the event publisher: usage events for the aggregator, and pending settlements for the policy service. */
export function createUsageLog(publisher: EventPublisher): UsageLog {
  return {
    pendingFromPreviousRun: publisher.pendingFromPreviousRun.map(({ offset, payload }) => ({
      offset,
      settlement: fromOutboxPayload(payload),
    })),
    enqueueRelease: (key) =>
      publisher.enqueue(toOutboxPayload({ ...key, costNanoUsd: 0n, tokens: 0, neverSent: true })),
    recordAdmission(facts, { reservedNanoUsd, expiresAt, price, admittedAt }, pendingRelease) {
      const times = { expiresAt: toTimestamp(expiresAt), admittedAt: toTimestamp(admittedAt) };
      const value = { reservedNanoUsd, ...times, price: toProtoPrice(price) };
      const event = toProtoEvent(facts, { case: "admitted", value });
      return { committed: publisher.record({ event, completes: pendingRelease }).committed() };
    },
    recordSettlement(facts, settlement, pendingSettlement, pendingRelease) {
      const event = toProtoSettled(facts, settlement);
      return publisher.recordOrSend({
        event,
        pendingSettlement: pendingSettlement && toOutboxPayload(pendingSettlement),
        completes: pendingRelease,
      });
    },
    complete: (offset) => publisher.complete(offset),
    recordUnloggedDenials: (denials) => void publisher.recordOrSend({ event: toProtoUnloggedDenials(denials) }),
  };
}

/** Pending settlement as this gateway writes it to its spool, for the next process there. */
interface PendingSettlementJson {
  readonly namespace_id: Id<"ns">;
  readonly request_id: Id<"req">;
  readonly key_id: Id<"key">;
  readonly cost_nano_usd: string;
  readonly tokens: number;
  readonly never_sent: boolean;
}

function toOutboxPayload({
  namespaceId,
  keyId,
  requestId,
  costNanoUsd,
  tokens,
  neverSent,
}: PendingSettlement): Uint8Array {
  const key = { namespace_id: namespaceId, key_id: keyId, request_id: requestId };
  const json: PendingSettlementJson = { ...key, cost_nano_usd: String(costNanoUsd), tokens, never_sent: neverSent };
  return Buffer.from(JSON.stringify(json));
}

function fromOutboxPayload(payload: Uint8Array): PendingSettlement {
  const json = JSON.parse(Buffer.from(payload).toString("utf8")) as PendingSettlementJson;
  const { namespace_id: namespaceId, key_id: keyId, request_id: requestId, tokens, never_sent: neverSent } = json;
  return { namespaceId, keyId, requestId, costNanoUsd: BigInt(json.cost_nano_usd), tokens, neverSent };
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
export function toProtoSettled(facts: RequestFacts, settlement: Settlement): UsageEvent {
  const { price, admittedAt, firstTokenMs, ...fields } = settlement;
  return toProtoEvent(facts, {
    case: "settled",
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
  });
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
function toProtoEvent(facts: RequestFacts, phase: Phase): UsageEvent {
  const request = { ...facts, createdAt: toTimestamp(facts.createdAt) };
  return create(UsageEventSchema, { request, phase: phase ?? { case: undefined } });
}
