import { create } from "@bufbuild/protobuf";
import { Outcome as ProtoOutcome, type UsageEvent, UsageEventSchema } from "@routeplane/contracts/events";
import { type Id, newId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { GuardrailDecision, LoggedRequest } from "../src/domain/request.ts";

const CREATED_AT = new Date("2026-11-20T10:00:00.123Z");
/** So late that no test's request is overdue unless it says so. */
const EXPIRES_AT = new Date("2099-01-01T00:00:00Z");

/** What the admission event of a request says of it. */
export function pendingRequest(given: Partial<LoggedRequest> = {}): LoggedRequest {
  return {
    namespaceId: newId("ns"),
    id: newId("req"),
    keyId: newId("key"),
    createdAt: CREATED_AT,
    status: "pending",
    endpoint: "/v1/chat/completions",
    model: "echo",
    provider: "echo",
    streamed: false,
    reservedNanoUsd: 5_000_000n,
    promptTokens: 0n,
    completionTokens: 0n,
    costNanoUsd: 0n,
    estimated: false,
    httpStatus: 0,
    errorCode: "",
    deniedByPolicyId: "",
    deniedByBindingId: "",
    deniedRule: "",
    shadowDenials: [],
    completedAt: undefined,
    expiresAt: EXPIRES_AT,
    receipt: {
      price: { version: "catalogue:0123456789ab", inputPicoUsd: 150_000n, outputPicoUsd: 600_000n },
      billedModel: undefined,
      admittedAt: new Date(CREATED_AT.getTime() + 3),
      cachedPromptTokens: undefined,
      reasoningTokens: undefined,
      firstTokenMs: undefined,
      upstreamMs: undefined,
      guardrailDecisions: [],
    },
    ...given,
  };
}

/** What the settlement event of the same request says of it. */
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
    receipt: {
      ...pending.receipt,
      cachedPromptTokens: 5n,
      reasoningTokens: 21n,
      firstTokenMs: 250,
      upstreamMs: 1_400,
      guardrailDecisions: [guardrailDecision({ requestRedactions: 2 })],
    },
    ...given,
  };
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

/** The event as a gateway would publish it. */
export function usageEvent(said: LoggedRequest): UsageEvent {
  const { namespaceId, id, keyId, createdAt, endpoint, model, provider, streamed } = said;
  const request = {
    namespaceId,
    requestId: id,
    keyId,
    endpoint,
    model,
    provider,
    streamed,
    createdAt: toTimestamp(createdAt),
  };
  const { status, reservedNanoUsd } = said;
  if (status === "unknown") throw new Error("no gateway says that");
  const { price, billedModel, admittedAt, cachedPromptTokens, reasoningTokens, firstTokenMs, upstreamMs } =
    said.receipt;
  const protoPrice = price && { ...price, requestPicoUsd: price.requestPicoUsd ?? 0n };
  const receipt = {
    ...(protoPrice && { price: protoPrice }),
    ...(admittedAt && { admittedAt: toTimestamp(admittedAt) }),
  };
  if (status === "pending") {
    const value = { reservedNanoUsd, ...receipt, ...(said.expiresAt && { expiresAt: toTimestamp(said.expiresAt) }) };
    return create(UsageEventSchema, { request, phase: { case: "admitted", value } });
  }
  const { promptTokens, completionTokens, costNanoUsd, estimated, httpStatus, errorCode, deniedByPolicyId } = said;
  const value = {
    promptTokens,
    completionTokens,
    costNanoUsd,
    reservedNanoUsd,
    estimated,
    httpStatus,
    errorCode,
    deniedByPolicyId,
    deniedByBindingId: said.deniedByBindingId,
    deniedRule: said.deniedRule,
    shadowDenials: [...said.shadowDenials],
    ...receipt,
    ...(billedModel !== undefined && { billedModel }),
    ...(cachedPromptTokens !== undefined && { cachedPromptTokens }),
    ...(reasoningTokens !== undefined && { reasoningTokens }),
    ...(firstTokenMs !== undefined && { timeToFirstTokenMs: firstTokenMs }),
    ...(upstreamMs !== undefined && { upstreamMs }),
    guardrailDecisions: [...said.receipt.guardrailDecisions],
    outcome: OUTCOMES[status],
    ...(said.completedAt && { completedAt: toTimestamp(said.completedAt) }),
  };
  return create(UsageEventSchema, { request, phase: { case: "settled", value } });
}

/** Ids in the order in which they were made, whatever the clock's resolution. */
export function requestIds(count: number): Id<"req">[] {
  return Array.from({ length: count }, () => newId("req")).toSorted();
}
