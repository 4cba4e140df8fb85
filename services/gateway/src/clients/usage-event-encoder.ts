/**
 * Encoder of the two usage events of a request, from its facts, reservation and settlement.
 *
 * It writes what the schema-based library writes, to the byte: the test compares both for any request, and finds a field of the schema that
 * is missing here. The library would need an object for each nested message and time, and a walk over the schema.
 */
import {
  AdmittedOnSlicesSchema,
  AdmittedSchema,
  AttemptSchema,
  DeniedAmountsSchema,
  GuardrailDecisionSchema,
  Outcome,
  PriceSchema,
  RequestFactsSchema,
  SettledSchema,
  ShadowDenialSchema,
  UsageEventSchema,
} from "@routeplane/contracts/events";
import {
  MAX_ATTEMPTS,
  MAX_GUARDRAIL_DECISIONS,
  MAX_NAME_CHARS,
  MAX_SERVICE_TIER_CHARS,
  MAX_SHADOW_DENIALS,
  MAX_UPSTREAM_ERROR_CHARS,
  MAX_UPSTREAM_ID_CHARS,
  printableText,
} from "@routeplane/domain";
import type { AppliedPrice, Attempt } from "../domain/metering/receipt.ts";
import type { RequestFacts } from "../domain/metering/request-facts.ts";
import type { AdmittedOnSlices, ShadowDenial } from "../domain/ports/admissions.ts";
import type { GuardrailDecision, Reservation, Settlement } from "../domain/ports/usage-log.ts";
import { MessageWriter } from "./message-writer.ts";

const OUTCOMES: Record<Settlement["outcome"], Outcome> = {
  succeeded: Outcome.SUCCEEDED,
  failed: Outcome.FAILED,
  cancelled: Outcome.CANCELLED,
  denied: Outcome.DENIED,
};

const EVENT = UsageEventSchema.field;
const FACTS = RequestFactsSchema.field;
const SLICES = AdmittedOnSlicesSchema.field;
const ADMITTED = AdmittedSchema.field;
const SETTLED = SettledSchema.field;
const PRICE = PriceSchema.field;
const DENIAL = ShadowDenialSchema.field;
const DECISION = GuardrailDecisionSchema.field;
const ATTEMPT = AttemptSchema.field;
const DENIED_AMOUNTS = DeniedAmountsSchema.field;

/** Events are encoded one at a time. */
const writer = new MessageWriter();

/** Encodes the event of an admission. @throws RangeError for a number that the schema does not take */
export function encodeAdmitted(
  facts: RequestFacts,
  { reservedNanoUsd, expiresAt, price, admittedAt }: Reservation,
  slices: AdmittedOnSlices | undefined,
): Uint8Array {
  writer.begin();
  writeFacts(facts, slices);
  const start = writer.beginMessage(EVENT.admitted.number);
  writer.writeAmount(ADMITTED.reservedNanoUsd.number, reservedNanoUsd);
  writer.writeTime(ADMITTED.expiresAt.number, expiresAt);
  writePrice(ADMITTED.price.number, price);
  writer.writeTime(ADMITTED.admittedAt.number, admittedAt);
  writer.endMessage(start);
  return writer.finish();
}

/**
 * Encodes the event of a settlement, within the bounds that make every event fit the spool, however many policies apply and however much
 * an upstream says.
 *
 * @throws RangeError for a number that the schema does not take
 */
export function encodeSettled(
  facts: RequestFacts,
  settlement: Settlement,
  slices: AdmittedOnSlices | undefined,
): Uint8Array {
  writer.begin();
  writeFacts(facts, slices);
  const start = writer.beginMessage(EVENT.settled.number);
  writer.writeInteger(SETTLED.outcome.number, OUTCOMES[settlement.outcome]);
  writer.writeTime(SETTLED.completedAt.number, settlement.completedAt);
  writer.writeInteger(SETTLED.promptTokens.number, settlement.promptTokens);
  writer.writeInteger(SETTLED.completionTokens.number, settlement.completionTokens);
  writer.writeAmount(SETTLED.costNanoUsd.number, settlement.costNanoUsd);
  writer.writeAmount(SETTLED.reservedNanoUsd.number, settlement.reservedNanoUsd);
  writer.writeFlag(SETTLED.estimated.number, settlement.estimated);
  writer.writeInt32(SETTLED.httpStatus.number, settlement.httpStatus);
  writer.writeText(SETTLED.errorCode.number, settlement.errorCode.slice(0, MAX_NAME_CHARS));
  writer.writeText(SETTLED.deniedByPolicyId.number, settlement.deniedByPolicyId);
  writer.writeText(SETTLED.deniedByBindingId.number, settlement.deniedByBindingId);
  writer.writeText(SETTLED.deniedRule.number, settlement.deniedRule);
  writeAll(settlement.shadowDenials, MAX_SHADOW_DENIALS, writeDenial);
  writePrice(SETTLED.price.number, settlement.price);
  writer.writeTime(SETTLED.admittedAt.number, settlement.admittedAt);
  writer.writeOptionalInteger(SETTLED.cachedPromptTokens.number, settlement.cachedPromptTokens);
  writer.writeOptionalInteger(SETTLED.reasoningTokens.number, settlement.reasoningTokens);
  writer.writeOptionalInt32(SETTLED.timeToFirstTokenMs.number, settlement.firstTokenMs);
  writer.writeOptionalInt32(SETTLED.upstreamMs.number, settlement.upstreamMs);
  writeAll(settlement.guardrailDecisions, MAX_GUARDRAIL_DECISIONS, writeDecision);
  writer.writeText(SETTLED.billedModel.number, settlement.billedModel ?? "");
  writer.writeOptionalInteger(SETTLED.cacheWriteTokens.number, settlement.cacheWriteTokens);
  writer.writeOptionalInteger(SETTLED.promptAudioTokens.number, settlement.promptAudioTokens);
  writer.writeOptionalInteger(SETTLED.completionAudioTokens.number, settlement.completionAudioTokens);
  writePrintable(SETTLED.serviceTier.number, settlement.serviceTier, MAX_SERVICE_TIER_CHARS);
  writer.writeOptionalInt32(SETTLED.upstreamStatus.number, settlement.upstreamStatus);
  writePrintable(SETTLED.upstreamRequestId.number, settlement.upstreamRequestId, MAX_UPSTREAM_ID_CHARS);
  writePrintable(SETTLED.upstreamError.number, settlement.upstreamError, MAX_UPSTREAM_ERROR_CHARS);
  writeAll(settlement.attempts, MAX_ATTEMPTS, writeAttempt);
  writeDeniedAmounts(settlement.deniedAmounts);
  writer.endMessage(start);
  return writer.finish();
}

function writeDeniedAmounts(amounts: Settlement["deniedAmounts"]): void {
  if (amounts === undefined) return;
  const start = writer.beginMessage(SETTLED.deniedAmounts.number);
  writer.writeAmount(DENIED_AMOUNTS.limit.number, amounts.limit);
  writer.writeAmount(DENIED_AMOUNTS.remaining.number, amounts.remaining);
  writer.writeAmount(DENIED_AMOUNTS.needed.number, amounts.needed);
  writer.writeTime(DENIED_AMOUNTS.retryAt.number, amounts.retryAt);
  writer.endMessage(start);
}

function writeFacts(facts: RequestFacts, slices: AdmittedOnSlices | undefined): void {
  const start = writer.beginMessage(EVENT.request.number);
  writer.writeText(FACTS.requestId.number, facts.requestId);
  writer.writeText(FACTS.namespaceId.number, facts.namespaceId);
  writer.writeText(FACTS.keyId.number, facts.keyId);
  writer.writeTime(FACTS.createdAt.number, facts.createdAt);
  writer.writeText(FACTS.endpoint.number, facts.endpoint);
  writer.writeText(FACTS.model.number, facts.model);
  writer.writeText(FACTS.provider.number, facts.provider);
  writer.writeFlag(FACTS.streamed.number, facts.streamed);
  if (slices !== undefined) writeSlices(slices);
  writer.endMessage(start);
}

function writeSlices({ sessionId, limitSet, countedAt, tokensMax }: AdmittedOnSlices): void {
  const start = writer.beginMessage(FACTS.slices.number);
  writer.writeText(SLICES.sessionId.number, sessionId);
  writer.writeInteger(SLICES.limitSet.number, limitSet);
  writer.writeTime(SLICES.countedAt.number, countedAt);
  writer.writeInteger(SLICES.tokensMax.number, tokensMax);
  writer.endMessage(start);
}

function writePrice(field: number, price: AppliedPrice | undefined): void {
  if (price === undefined) return;
  const start = writer.beginMessage(field);
  writer.writeText(PRICE.version.number, price.version);
  writer.writeAmount(PRICE.inputPicoUsd.number, price.inputPicoUsd);
  writer.writeAmount(PRICE.outputPicoUsd.number, price.outputPicoUsd);
  writer.writeAmount(PRICE.requestPicoUsd.number, price.requestPicoUsd ?? 0n);
  writer.writeOptionalAmount(PRICE.cachedInputPicoUsd.number, price.cachedInputPicoUsd);
  writer.writeOptionalAmount(PRICE.cacheWritePicoUsd.number, price.cacheWritePicoUsd);
  writer.writeOptionalAmount(PRICE.inputAudioPicoUsd.number, price.inputAudioPicoUsd);
  writer.writeOptionalAmount(PRICE.outputAudioPicoUsd.number, price.outputAudioPicoUsd);
  writer.writeOptionalAmount(PRICE.reasoningPicoUsd.number, price.reasoningPicoUsd);
  writer.endMessage(start);
}

function writeAll<T>(items: readonly T[], most: number, write: (item: T) => void): void {
  for (let index = 0; index < items.length && index < most; index++) {
    const item = items[index];
    if (item !== undefined) write(item);
  }
}

function writeDenial({ policyId, bindingId, rule }: ShadowDenial): void {
  const start = writer.beginMessage(SETTLED.shadowDenials.number);
  writer.writeText(DENIAL.policyId.number, policyId);
  writer.writeText(DENIAL.bindingId.number, bindingId);
  writer.writeText(DENIAL.rule.number, rule);
  writer.endMessage(start);
}

function writeDecision(decision: GuardrailDecision): void {
  const start = writer.beginMessage(SETTLED.guardrailDecisions.number);
  writer.writeText(DECISION.policyId.number, decision.policyId);
  writer.writeText(DECISION.bindingId.number, decision.bindingId);
  writer.writeText(DECISION.rule.number, decision.rule);
  writer.writeText(DECISION.pattern.number, decision.pattern);
  writer.writeInt32(DECISION.requestRedactions.number, decision.requestRedactions);
  writer.writeInt32(DECISION.responseRedactions.number, decision.responseRedactions);
  writer.writeFlag(DECISION.blockedRequest.number, decision.blocked === "request");
  writer.writeFlag(DECISION.blockedResponse.number, decision.blocked === "response");
  writer.endMessage(start);
}

function writeAttempt(attempt: Attempt): void {
  const start = writer.beginMessage(SETTLED.attempts.number);
  writer.writeText(ATTEMPT.provider.number, attempt.provider.slice(0, MAX_NAME_CHARS));
  writer.writeText(ATTEMPT.model.number, attempt.model.slice(0, MAX_NAME_CHARS));
  writer.writeOptionalInt32(ATTEMPT.status.number, attempt.status);
  writer.writeText(ATTEMPT.errorCode.number, attempt.errorCode.slice(0, MAX_NAME_CHARS));
  writer.writeInt32(ATTEMPT.startedMs.number, attempt.startedMs);
  writer.writeInt32(ATTEMPT.durationMs.number, attempt.durationMs);
  writer.endMessage(start);
}

/** Writes a text of an upstream, made printable and truncated. */
function writePrintable(field: number, text: string | undefined, maxChars: number): void {
  if (text !== undefined) writer.writeText(field, printableText(text, maxChars));
}
