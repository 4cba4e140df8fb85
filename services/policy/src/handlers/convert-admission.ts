import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RateLimitState, TokenPrice } from "@routeplane/admission";
import type {
  AdmitRequest,
  AdmitResponseSchema,
  DenialSchema,
  TokenPrice as ProtoTokenPrice,
} from "@routeplane/contracts/policy";
import { invalidField, microToNano, nanoToMicro, definedFields, requireId } from "@routeplane/domain";
import { toTimestamp } from "@routeplane/rpc";
import type { AdmissionResult, AdmissionRequest } from "../domain/admission/admission.ts";
import { toProtoPrincipal } from "./convert-policy.ts";

export function fromProtoAdmitRequest(request: AdmitRequest): AdmissionRequest {
  if (request.price === undefined) throw invalidField("price", "is required");
  return {
    namespaceId: requireId("ns", request.namespaceId),
    requestId: requireId("req", request.requestId),
    lineage: request.lineage.map((id) => requireId("key", id)),
    price: fromProtoPrice(request.price),
    inputTokensMax: request.inputTokensMax,
    outputTokensMax: request.outputTokensMax,
    choices: BigInt(request.choices || 1),
    refuseRatherThanLower: request.refuseRatherThanLower,
    idempotencyKey: request.idempotencyKey,
    sessionId: request.sessionId === "" ? undefined : requireId("gws", request.sessionId),
  };
}

function fromProtoPrice({ inputPicoUsd, outputPicoUsd, requestPicoUsd }: ProtoTokenPrice): TokenPrice {
  return { inputPicoUsd, outputPicoUsd, requestPicoUsd };
}

export function toProtoAdmitResponse(result: AdmissionResult): MessageInitShape<typeof AdmitResponseSchema> {
  const { shadowDenials, tightest } = result;
  const { budgetRemainingNano } = tightest;
  return {
    outcome: toProtoOutcome(result),
    shadowDenials: shadowDenials.map(({ binding: { policyId, bindingId }, rule }) => ({ policyId, bindingId, rule })),
    ...definedFields({
      requests: toProtoRateLimitState(tightest.requests),
      tokens: toProtoRateLimitState(tightest.tokens),
      budgetRemainingMicroUsd: budgetRemainingNano === undefined ? undefined : wholeMicroUsd(budgetRemainingNano),
    }),
  };
}

function toProtoOutcome(result: AdmissionResult) {
  if (result.outcome === "denied") return { case: "denial" as const, value: toProtoDenial(result) };
  const { outputTokensMax, reservedNano, expiresAt } = result;
  const bounds = { outputTokensMax, reservedNanoUsd: reservedNano };
  const value = { ...bounds, ...(expiresAt && { expiresAt: toTimestamp(expiresAt) }) };
  return { case: "admission" as const, value };
}

function toProtoDenial(denied: Extract<AdmissionResult, { outcome: "denied" }>): MessageInitShape<typeof DenialSchema> {
  const { binding, rule, limit, remaining, needed, retryAtMs, message, isFirm } = denied;
  const { policyId, policyName, bindingId, principal } = binding;
  const source = { policyId, policyName, bindingId, ...toProtoPrincipal(principal) };
  const isMoney = rule === "budget";
  return {
    ...source,
    message,
    rule,
    isFirm,
    limit: isMoney ? nanoToMicro(limit) : limit,
    remaining: isMoney ? wholeMicroUsd(remaining) : remaining,
    needed: isMoney ? nanoToMicro(needed) : needed,
    ...(retryAtMs !== undefined && { retryAt: toTimestamp(new Date(retryAtMs)) }),
  };
}

/** Rounds down: a micro-USD that remains can be spent. */
function wholeMicroUsd(nanoUsd: bigint): bigint {
  return nanoUsd / microToNano(1n);
}

function toProtoRateLimitState(state: RateLimitState | undefined) {
  if (state === undefined) return undefined;
  const { limit, remaining, resetsAtMs } = state;
  return { limit, remaining, resetsAt: toTimestamp(new Date(resetsAtMs)) };
}
