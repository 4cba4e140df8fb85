import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { isReflectMessage, reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { TimestampSchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Outcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import {
  definedFields,
  MAX_ATTEMPTS,
  MAX_GUARDRAIL_DECISIONS,
  MAX_NAME_CHARS,
  MAX_SERVICE_TIER_CHARS,
  MAX_SHADOW_DENIALS,
  MAX_UPSTREAM_ERROR_CHARS,
  MAX_UPSTREAM_ID_CHARS,
  newId,
  printableText,
} from "@routeplane/domain";
import { MAX_EVENT_BYTES } from "@routeplane/events";
import { MAX_PATTERN_NAME_CHARS } from "@routeplane/guardrails";
import fc from "fast-check";
import { expect, it } from "vitest";
import { sampleFacts, sampleSettlement } from "../../test/sample-usage.ts";
import type { AppliedPrice, Attempt } from "../domain/metering/receipt.ts";
import type { RequestFacts } from "../domain/metering/request-facts.ts";
import type { AdmittedOnSlices } from "../domain/ports/admissions.ts";
import type { GuardrailDecision, Reservation, Settlement } from "../domain/ports/usage-log.ts";
import { encodeAdmitted, encodeSettled } from "./usage-event-encoder.ts";

type Phase = NonNullable<NonNullable<Parameters<typeof create<typeof UsageEventSchema>>[1]>["phase"]>;

/** The events as the schema-based library makes them: fields with the same name in the contract and the domain are copied. */
function eventOf(facts: RequestFacts, phase: Phase, slices: AdmittedOnSlices | undefined): UsageEvent {
  const { countedAt, tokensMax = 0, ...of } = slices ?? {};
  const counted = definedFields({ countedAt: countedAt && timestampFromDate(countedAt) });
  const onSlices = slices && { slices: { ...of, ...counted, tokensMax: BigInt(tokensMax) } };
  const createdAt = timestampFromDate(facts.createdAt);
  return create(UsageEventSchema, { request: { ...facts, createdAt, ...onSlices }, phase });
}

function admittedOf(facts: RequestFacts, reservation: Reservation, slices?: AdmittedOnSlices): UsageEvent {
  const { reservedNanoUsd, expiresAt, admittedAt, price } = reservation;
  const times = { expiresAt: timestampFromDate(expiresAt), admittedAt: timestampFromDate(admittedAt) };
  const value = { reservedNanoUsd, ...times, price: definedFields(price) };
  return eventOf(facts, { case: "admitted", value }, slices);
}

function settledOf(facts: RequestFacts, settlement: Settlement, slices?: AdmittedOnSlices): UsageEvent {
  const { price, completedAt, admittedAt, firstTokenMs, ...fields } = settlement;
  const cut = (text: string | undefined, maxChars: number) => text && printableText(text, maxChars);
  const count = (tokens: number | undefined) => (tokens === undefined ? undefined : BigInt(tokens));
  const value = definedFields({
    ...fields,
    outcome: Outcome[settlement.outcome.toUpperCase() as keyof typeof Outcome],
    completedAt: timestampFromDate(completedAt),
    admittedAt: admittedAt && timestampFromDate(admittedAt),
    price: price && definedFields(price),
    timeToFirstTokenMs: firstTokenMs,
    promptTokens: BigInt(settlement.promptTokens),
    completionTokens: BigInt(settlement.completionTokens),
    cachedPromptTokens: count(settlement.cachedPromptTokens),
    cacheWriteTokens: count(settlement.cacheWriteTokens),
    promptAudioTokens: count(settlement.promptAudioTokens),
    completionAudioTokens: count(settlement.completionAudioTokens),
    reasoningTokens: count(settlement.reasoningTokens),
    errorCode: settlement.errorCode.slice(0, MAX_NAME_CHARS),
    serviceTier: cut(settlement.serviceTier, MAX_SERVICE_TIER_CHARS),
    upstreamRequestId: cut(settlement.upstreamRequestId, MAX_UPSTREAM_ID_CHARS),
    upstreamError: cut(settlement.upstreamError, MAX_UPSTREAM_ERROR_CHARS),
    shadowDenials: settlement.shadowDenials.slice(0, MAX_SHADOW_DENIALS),
    guardrailDecisions: settlement.guardrailDecisions.slice(0, MAX_GUARDRAIL_DECISIONS).map(decisionOf),
    attempts: settlement.attempts.slice(0, MAX_ATTEMPTS).map(attemptOf),
    deniedAmounts: settlement.deniedAmounts && amountsOf(settlement.deniedAmounts),
  });
  return eventOf(facts, { case: "settled", value }, slices);
}

function amountsOf({ retryAt, ...amounts }: NonNullable<Settlement["deniedAmounts"]>) {
  return { ...amounts, ...(retryAt && { retryAt: timestampFromDate(retryAt) }) };
}

function attemptOf({ provider, model, errorCode, ...attempt }: Attempt) {
  const [first, second, third] = [provider, model, errorCode].map((name) => name.slice(0, MAX_NAME_CHARS));
  return definedFields({ provider: first, model: second, errorCode: third, ...attempt });
}

function decisionOf({ blocked, ...decision }: GuardrailDecision) {
  return { ...decision, blockedRequest: blocked === "request", blockedResponse: blocked === "response" };
}

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.constantFrom("", "€".repeat(43), "\ud800"));
const time = fc.date({ min: new Date(-1e12), max: new Date(4e12), noInvalidDate: true });
const tokens = fc.oneof(fc.nat(), fc.maxSafeInteger().map(Math.abs), fc.constantFrom(0, 127, 128));
const int32 = fc.integer();
const amount = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, 2n ** 53n));
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const price: fc.Arbitrary<AppliedPrice> = fc.record({
  version: text,
  inputPicoUsd: amount,
  outputPicoUsd: amount,
  requestPicoUsd: optional(amount),
  cachedInputPicoUsd: optional(amount),
  cacheWritePicoUsd: optional(amount),
  inputAudioPicoUsd: optional(amount),
  outputAudioPicoUsd: optional(amount),
  reasoningPicoUsd: optional(amount),
});
const facts: fc.Arbitrary<RequestFacts> = fc
  .record({ createdAt: time, endpoint: text, model: text, provider: text, streamed: fc.boolean() })
  .map(sampleFacts);
const slices: fc.Arbitrary<AdmittedOnSlices> = fc.record({
  sessionId: fc.constant(newId("gws")),
  limitSet: fc.nat(),
  countedAt: optional(time),
  boundNanoUsd: amount,
  tokensMax: tokens,
});
const reservation: fc.Arbitrary<Reservation> = fc.record({
  reservedNanoUsd: amount,
  expiresAt: time,
  price,
  admittedAt: time,
});
const source = { policyId: text, bindingId: text, rule: text };
const settlement: fc.Arbitrary<Settlement> = fc.record({
  outcome: fc.constantFrom("succeeded", "failed", "cancelled", "denied"),
  completedAt: time,
  promptTokens: tokens,
  completionTokens: tokens,
  costNanoUsd: amount,
  reservedNanoUsd: amount,
  estimated: fc.boolean(),
  httpStatus: int32,
  errorCode: text,
  deniedByPolicyId: text,
  deniedByBindingId: text,
  deniedRule: text,
  deniedAmounts: optional(fc.record({ limit: amount, remaining: amount, needed: amount, retryAt: optional(time) })),
  shadowDenials: fc.array(fc.record(source), { maxLength: 3 }),
  guardrailDecisions: fc.array(
    fc.record({
      ...source,
      pattern: text,
      requestRedactions: int32,
      responseRedactions: int32,
      blocked: fc.constantFrom("request", "response", undefined),
    }),
    { maxLength: 3 },
  ),
  price: optional(price),
  billedModel: optional(text),
  cachedPromptTokens: optional(tokens),
  cacheWriteTokens: optional(tokens),
  promptAudioTokens: optional(tokens),
  completionAudioTokens: optional(tokens),
  reasoningTokens: optional(tokens),
  serviceTier: optional(text),
  upstreamStatus: optional(int32),
  upstreamRequestId: optional(text),
  upstreamError: optional(text),
  admittedAt: optional(time),
  firstTokenMs: optional(int32),
  upstreamMs: optional(int32),
  attempts: fc.array(
    fc.record({
      provider: text,
      model: text,
      status: optional(int32),
      errorCode: text,
      startedMs: int32,
      durationMs: int32,
    }),
    { maxLength: 3 },
  ),
});

it("encodes any admission as the library does, to the byte", () => {
  fc.assert(
    fc.property(facts, reservation, optional(slices), (of, reserved, onSlices) => {
      const expected = toBinary(UsageEventSchema, admittedOf(of, reserved, onSlices));
      expect(Buffer.from(encodeAdmitted(of, reserved, onSlices)).equals(expected)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

it("encodes any settlement as the library does, to the byte", () => {
  fc.assert(
    fc.property(facts, settlement, optional(slices), (of, settled, onSlices) => {
      const expected = toBinary(UsageEventSchema, settledOf(of, settled, onSlices));
      expect(Buffer.from(encodeSettled(of, settled, onSlices)).equals(expected)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

it("encodes the next event after one whose numbers the schema does not take", () => {
  const of = sampleFacts();
  for (const promptTokens of [0.5, Number.NaN, 2 ** 60])
    expect(() => encodeSettled(of, sampleSettlement({ promptTokens }), undefined)).toThrow(RangeError);
  expect(() => encodeSettled(of, sampleSettlement({ costNanoUsd: 2n ** 63n }), undefined)).toThrow(RangeError);
  expect(() => encodeSettled(of, sampleSettlement({ httpStatus: 2 ** 31 }), undefined)).toThrow(RangeError);
  expect(() => encodeSettled(of, sampleSettlement({ completedAt: new Date(Number.NaN) }), undefined)).toThrow(
    RangeError,
  );
  const settled = sampleSettlement();
  expect(fromBinary(UsageEventSchema, encodeSettled(of, settled, undefined))).toEqual(settledOf(of, settled));
});

/** Paths of the fields below a message that none of the given messages has; fields of times are left out. */
function missingFields(schema: DescMessage, messages: readonly ReflectMessage[], path = ""): readonly string[] {
  return schema.fields.flatMap((field) => {
    const having = messages.filter((message) => message.isSet(field));
    if (having.length === 0) return [`${path}${field.name}`];
    if (field.message === undefined || field.message.typeName === TimestampSchema.typeName) return [];
    const inner = having.flatMap((message) => {
      if (field.fieldKind === "message") return [message.get(field)];
      return field.fieldKind === "list" && field.listKind === "message" ? Array.from(message.get(field)) : [];
    });
    const known = inner.filter((value) => isReflectMessage(value));
    return missingFields(field.message, known, `${path}${field.name}.`);
  });
}

const ATTEMPT = {
  provider: "east",
  model: "m",
  status: undefined,
  errorCode: "upstream_timeout",
  startedMs: 1,
  durationMs: 2,
};

it("encodes every field of the schema that concerns one request", () => {
  const rates = { cachedInputPicoUsd: 1n, cacheWritePicoUsd: 2n, inputAudioPicoUsd: 3n, outputAudioPicoUsd: 4n };
  const base = { version: "file:1", inputPicoUsd: 5n, outputPicoUsd: 6n, requestPicoUsd: 7n, reasoningPicoUsd: 8n };
  const full = { ...base, ...rates };
  const now = new Date();
  const of = sampleFacts({ streamed: true });
  const onSlices = { sessionId: newId("gws"), limitSet: 1, countedAt: now, boundNanoUsd: 1n, tokensMax: 1 };
  const denial = { policyId: newId("pol"), bindingId: newId("bnd"), rule: "budget" };
  const decision = { ...denial, pattern: "p", requestRedactions: 1, responseRedactions: 1 };
  const parts = { cachedPromptTokens: 1, cacheWriteTokens: 1, promptAudioTokens: 1, completionAudioTokens: 1 };
  const settled = sampleSettlement({
    estimated: true,
    errorCode: "internal_error",
    deniedByPolicyId: denial.policyId,
    deniedByBindingId: denial.bindingId,
    deniedRule: "budget",
    deniedAmounts: { limit: 3n, remaining: 1n, needed: 2n, retryAt: now },
    shadowDenials: [denial],
    guardrailDecisions: [
      { ...decision, blocked: "request" },
      { ...decision, blocked: "response" },
    ],
    price: full,
    admittedAt: now,
    ...parts,
    reasoningTokens: 1,
    firstTokenMs: 1,
    upstreamMs: 1,
    billedModel: "other",
    serviceTier: "priority",
    upstreamStatus: 200,
    upstreamRequestId: "id",
    upstreamError: "error",
    attempts: [{ ...ATTEMPT, status: 429 }],
  });
  const reserved = { reservedNanoUsd: 1n, expiresAt: now, price: full, admittedAt: now };
  const events = [encodeAdmitted(of, reserved, onSlices), encodeSettled(of, settled, onSlices)];
  const messages = events.map((event) => reflect(UsageEventSchema, fromBinary(UsageEventSchema, event)));
  expect(missingFields(UsageEventSchema, messages)).toEqual(["unlogged_denials"]);
});

it("encodes a settlement that fits the spool, however many policies apply and however much an upstream says", () => {
  const source = () => ({ policyId: newId("pol"), bindingId: newId("bnd") });
  const many = Array.from({ length: 1_000 }, source);
  const pattern = "€".repeat(MAX_PATTERN_NAME_CHARS);
  const did = { requestRedactions: 2 ** 31 - 1, responseRedactions: 2 ** 31 - 1, blocked: "response" as const };
  const settled = sampleSettlement({
    outcome: "denied",
    errorCode: "€".repeat(2_000),
    serviceTier: "€".repeat(2_000),
    upstreamRequestId: "€".repeat(2_000),
    upstreamError: "€\n\u001b".repeat(2_000),
    deniedByPolicyId: newId("pol"),
    deniedByBindingId: newId("bnd"),
    deniedRule: "guardrail.max_request_tokens",
    shadowDenials: many.map((each) => Object.assign(each, { rule: "guardrail.max_request_tokens" })),
    guardrailDecisions: many.map(() => Object.assign(source(), { rule: "guardrail.content_patterns", pattern }, did)),
    attempts: many.map(() => Object.assign({}, ATTEMPT, { model: "€".repeat(2_000), errorCode: "€".repeat(2_000) })),
  });
  const of = sampleFacts({ model: "m".repeat(256), provider: "p".repeat(256), streamed: true });
  const event = encodeSettled(of, settled, undefined);
  expect(event.length).toBeLessThan(MAX_EVENT_BYTES);
  expect(fromBinary(UsageEventSchema, event).phase.value).toMatchObject({
    shadowDenials: { length: 100 },
    guardrailDecisions: { length: 50 },
    attempts: { length: 10 },
    errorCode: "€".repeat(256),
    serviceTier: "€".repeat(64),
    upstreamRequestId: "€".repeat(200),
    upstreamError: "€ ".repeat(250),
  });
});
