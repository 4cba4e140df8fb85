import type { GuardrailDecision, ListedRequest, LoggedRequest, Price } from "../domain/request.ts";
import type { GuardrailDecisionJson, RequestRow } from "./schema.ts";

/** Of what `ListedRequest` is made: a page that reads no more leaves less behind for the collector of garbage. */
export const LISTED = [
  "namespace_id",
  "id",
  "created_at",
  "key_id",
  "status",
  "endpoint",
  "model",
  "provider",
  "streamed",
  "reserved_nano_usd",
  "prompt_tokens",
  "completion_tokens",
  "cost_nano_usd",
  "estimated",
  "http_status",
  "error_code",
  "denied_by_policy_id",
  "denied_by_binding_id",
  "denied_rule",
  "shadow_denials",
  "completed_at",
] as const satisfies readonly (keyof RequestRow)[];

export type ListedRow = Pick<RequestRow, (typeof LISTED)[number]>;

export function fromListedRow(row: ListedRow): ListedRequest {
  return {
    namespaceId: row.namespace_id,
    id: row.id,
    createdAt: row.created_at,
    keyId: row.key_id,
    status: row.status,
    endpoint: row.endpoint,
    model: row.model,
    provider: row.provider,
    streamed: row.streamed,
    reservedNanoUsd: row.reserved_nano_usd,
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    costNanoUsd: row.cost_nano_usd,
    estimated: row.estimated,
    httpStatus: row.http_status,
    errorCode: row.error_code,
    deniedByPolicyId: row.denied_by_policy_id,
    deniedByBindingId: row.denied_by_binding_id,
    deniedRule: row.denied_rule,
    shadowDenials: row.shadow_denials.map(({ policy_id, binding_id, rule }) => ({
      policyId: policy_id,
      bindingId: binding_id,
      rule,
    })),
    completedAt: row.completed_at ?? undefined,
  };
}

export function fromRequestRow(row: RequestRow): LoggedRequest {
  return {
    ...fromListedRow(row),
    expiresAt: row.expires_at ?? undefined,
    receipt: {
      price: fromPriceColumns(row),
      billedModel: row.billed_model ?? undefined,
      cachedPromptTokens: row.cached_prompt_tokens ?? undefined,
      reasoningTokens: row.reasoning_tokens ?? undefined,
      admittedAt: row.admitted_at ?? undefined,
      firstTokenMs: row.first_token_ms ?? undefined,
      upstreamMs: row.upstream_ms ?? undefined,
      guardrailDecisions: (row.guardrail_decisions ?? []).map(fromDecisionJson),
    },
  };
}

function fromPriceColumns(row: RequestRow): Price | undefined {
  const { price_version: version, input_price_pico_usd: inputPicoUsd, output_price_pico_usd: outputPicoUsd } = row;
  if (version === null || inputPicoUsd === null || outputPicoUsd === null) return undefined;
  const price = { version, inputPicoUsd, outputPicoUsd };
  return row.request_price_pico_usd === null ? price : { ...price, requestPicoUsd: row.request_price_pico_usd };
}

export function toRequestRow(request: LoggedRequest): RequestRow {
  const { receipt } = request;
  return {
    namespace_id: request.namespaceId,
    id: request.id,
    created_at: request.createdAt,
    key_id: request.keyId,
    status: request.status,
    endpoint: request.endpoint,
    model: request.model,
    provider: request.provider,
    streamed: request.streamed,
    reserved_nano_usd: request.reservedNanoUsd,
    prompt_tokens: request.promptTokens,
    completion_tokens: request.completionTokens,
    cost_nano_usd: request.costNanoUsd,
    estimated: request.estimated,
    http_status: request.httpStatus,
    error_code: request.errorCode,
    denied_by_policy_id: request.deniedByPolicyId,
    denied_by_binding_id: request.deniedByBindingId,
    denied_rule: request.deniedRule,
    shadow_denials: request.shadowDenials.map(({ policyId, bindingId, rule }) => ({
      policy_id: policyId,
      binding_id: bindingId,
      rule,
    })),
    completed_at: request.completedAt ?? null,
    expires_at: request.expiresAt ?? null,
    price_version: receipt.price?.version ?? null,
    input_price_pico_usd: receipt.price?.inputPicoUsd ?? null,
    output_price_pico_usd: receipt.price?.outputPicoUsd ?? null,
    request_price_pico_usd: receipt.price?.requestPicoUsd ?? null,
    billed_model: receipt.billedModel ?? null,
    cached_prompt_tokens: receipt.cachedPromptTokens ?? null,
    reasoning_tokens: receipt.reasoningTokens ?? null,
    admitted_at: receipt.admittedAt ?? null,
    first_token_ms: receipt.firstTokenMs ?? null,
    upstream_ms: receipt.upstreamMs ?? null,
    guardrail_decisions:
      receipt.guardrailDecisions.length === 0 ? null : receipt.guardrailDecisions.map(toDecisionJson),
  };
}

function fromDecisionJson(json: GuardrailDecisionJson): GuardrailDecision {
  return {
    policyId: json.policy_id,
    bindingId: json.binding_id,
    rule: json.rule,
    pattern: json.pattern,
    requestRedactions: json.request_redactions,
    responseRedactions: json.response_redactions,
    blockedRequest: json.blocked_request,
    blockedResponse: json.blocked_response,
  };
}

function toDecisionJson(decision: GuardrailDecision): GuardrailDecisionJson {
  return {
    policy_id: decision.policyId,
    binding_id: decision.bindingId,
    rule: decision.rule,
    pattern: decision.pattern,
    request_redactions: decision.requestRedactions,
    response_redactions: decision.responseRedactions,
    blocked_request: decision.blockedRequest,
    blocked_response: decision.blockedResponse,
  };
}
