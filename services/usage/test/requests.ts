import { create } from "@bufbuild/protobuf";
import { Outcome as ProtoOutcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import { type Id, newId, definedFields } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import {
  type AdmittedOnSlices,
  type Attempt,
  type GuardrailDecision,
  type LoggedRequest,
  UNSETTLED,
} from "../src/domain/request.ts";

const CREATED_AT = new Date("2026-11-20T10:00:00.123Z");
/** Expiry of test requests: so late that none expires unless a test says so. */
const EXPIRES_AT = new Date("2099-01-01T00:00:00Z");

/** Observation of a request by its admission event. */
export function pendingRequest(given: Partial<LoggedRequest> = {}): LoggedRequest {
  return {
    namespaceId: newId("ns"),
    id: newId("req"),
    keyId: newId("key"),
    createdAt: CREATED_AT,
    endpoint: "/v1/chat/completions",
    model: "echo",
    provider: "echo",
    streamed: false,
    slices: undefined,
    ...UNSETTLED,
    reservedNanoUsd: 5_000_000n,
    expiresAt: EXPIRES_AT,
    receipt: {
      price: { version: "catalogue:0123456789ab", inputPicoUsd: 150_000n, outputPicoUsd: 600_000n },
      billedModel: undefined,
      admittedAt: new Date(CREATED_AT.getTime() + 3),
      timeToFirstTokenMs: undefined,
      upstreamMs: undefined,
      guardrailDecisions: [],
      attempts: [],
      deniedAmounts: undefined,
    },
    ...given,
  };
}

/** Slices of a new session. */
export function onSlices(given: Partial<AdmittedOnSlices> = {}): AdmittedOnSlices {
  return {
    sessionId: newId("gws"),
    limitSet: 3,
    countedAt: new Date(CREATED_AT.getTime() + 900),
    tokensMax: 999n,
    ...given,
  };
}

/** Observation of the same request by its settled event. */
export function settledRequest(pending: LoggedRequest, given: Partial<LoggedRequest> = {}): LoggedRequest {
  return {
    ...pending,
    status: "succeeded",
    promptTokens: 12n,
    completionTokens: 34n,
    costNanoUsd: 1_234_000n,
    httpStatus: 200,
    completedAt: new Date(pending.createdAt.getTime() + 1_500),
    expiresAt: undefined,
    cachedPromptTokens: 5n,
    cacheWriteTokens: 4n,
    promptAudioTokens: 3n,
    completionAudioTokens: 2n,
    reasoningTokens: 21n,
    serviceTier: "default",
    upstreamStatus: 200,
    upstreamRequestId: "req-upstream-1",
    receipt: {
      ...pending.receipt,
      timeToFirstTokenMs: 250,
      upstreamMs: 1_400,
      guardrailDecisions: [guardrailDecision({ requestRedactions: 2 })],
      attempts: [
        attempt({ status: 429, errorCode: "rate_limit_exceeded" }),
        attempt({ startedMs: 40, durationMs: 1_360 }),
      ],
    },
    ...given,
  };
}

export function attempt(given: Partial<Attempt>): Attempt {
  return { provider: "echo", model: "echo", status: 200, errorCode: "", startedMs: 4, durationMs: 30, ...given };
}

export function guardrailDecision(given: Partial<GuardrailDecision>): GuardrailDecision {
  return {
    policyId: "pol_g",
    bindingId: "bnd_g",
    rule: "guardrail.content_patterns",
    pattern: "ssn",
    requestRedactions: 0,
    responseRedactions: 0,
    blockedRequest: false,
    blockedResponse: false,
    ...given,
  };
}

const OUTCOMES = {
  succeeded: ProtoOutcome.SUCCEEDED,
  failed: ProtoOutcome.FAILED,
  cancelled: ProtoOutcome.CANCELLED,
  denied: ProtoOutcome.DENIED,
} as const;

/** Returns the event by which a gateway would publish the observation. A field with the same name in both needs no line here. */
export function usageEvent(observation: LoggedRequest): UsageEvent {
  const { id: requestId, status, createdAt, completedAt, expiresAt, receipt, slices, ...fields } = observation;
  if (status === "unknown") throw new Error("no gateway publishes an unknown request");
  const { countedAt, ...admittedOn } = slices ?? {};
  const request = {
    requestId,
    createdAt: toTimestamp(createdAt),
    ...fields,
    ...(slices && { slices: { ...admittedOn, ...(countedAt && { countedAt: toTimestamp(countedAt) }) } }),
  };
  const { price, admittedAt, deniedAmounts, ...measured } = receipt;
  const { retryAt, ...amounts } = deniedAmounts ?? {};
  const admission = definedFields({
    price: price && definedFields(price),
    admittedAt: admittedAt && toTimestamp(admittedAt),
  });
  if (status === "pending") {
    const { reservedNanoUsd } = fields;
    const value = { reservedNanoUsd, ...admission, ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }) };
    return create(UsageEventSchema, { request, phase: { case: "admitted", value } });
  }
  const value = {
    ...definedFields(fields),
    shadowDenials: [...fields.shadowDenials],
    ...definedFields(measured),
    guardrailDecisions: [...measured.guardrailDecisions],
    attempts: measured.attempts.map((each) => definedFields(each)),
    ...admission,
    ...(deniedAmounts && { deniedAmounts: { ...amounts, ...(retryAt && { retryAt: toTimestamp(retryAt) }) } }),
    outcome: OUTCOMES[status],
    ...(completedAt && { completedAt: toTimestamp(completedAt) }),
  };
  return create(UsageEventSchema, { request, phase: { case: "settled", value } });
}

/** New ids in ascending order, whatever the clock's resolution. */
export function requestIds(count: number): Id<"req">[] {
  return Array.from({ length: count }, () => newId("req")).toSorted();
}
