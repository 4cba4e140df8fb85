/**
 * The only list of the columns of the request log. The type of a row, the insert, and the columns that a settlement replaces or a list
 * reads are derived from it. To add a column, add it to one of the three groups and to the function that reads it.
 */
import { definedFields } from "@routeplane/domain";
import { firstTokenCellOf, totalCellOf } from "../domain/latency.ts";
import type {
  AdmittedOnSlices,
  Attempt,
  DeniedAmounts,
  GuardrailDecision,
  ListedRequest,
  LoggedRequest,
  Price,
  SessionRequest,
  ShadowDenial,
} from "../domain/request.ts";
import { columnNames, columnOf, type RowOf } from "./columns.ts";

const column = columnOf<LoggedRequest>();

/** Facts of a request, the same in each of its events: a settlement leaves them as they are. Lists read them. */
const FACTS = {
  namespace_id: column("text", (request) => request.namespaceId),
  id: column("text", (request) => request.id),
  created_at: column("timestamptz", (request) => request.createdAt),
  key_id: column("text", (request) => request.keyId),
  endpoint: column("text", (request) => request.endpoint),
  streamed: column("boolean", (request) => request.streamed),
};

/** Facts of a request that was admitted on slices, null for others. Only the lists of a gateway session read them. */
const SLICES = {
  session_id: column("text", ({ slices }) => slices?.sessionId ?? null),
  limit_set: column("integer", ({ slices }) => slices?.limitSet ?? null),
  counted_at: column("timestamptz", ({ slices }) => slices?.countedAt ?? null),
  tokens_max: column("bigint", ({ slices }) => slices?.tokensMax ?? null),
};

/** Columns that a settlement replaces and lists read. */
const OUTCOME = {
  model: column("text", (request) => request.model),
  provider: column("text", (request) => request.provider),
  status: column("text", (request) => request.status),
  reserved_nano_usd: column("bigint", (request) => request.reservedNanoUsd),
  prompt_tokens: column("bigint", (request) => request.promptTokens),
  completion_tokens: column("bigint", (request) => request.completionTokens),
  cost_nano_usd: column("bigint", (request) => request.costNanoUsd),
  estimated: column("boolean", (request) => request.estimated),
  http_status: column("integer", (request) => request.httpStatus),
  error_code: column("text", (request) => request.errorCode),
  denied_by_policy_id: column("text", (request) => request.deniedByPolicyId),
  denied_by_binding_id: column("text", (request) => request.deniedByBindingId),
  denied_rule: column("text", (request) => request.deniedRule),
  shadow_denials: column("jsonb", (request) => request.shadowDenials.map(toShadowDenialJson)),
  completed_at: column("timestamptz", (request) => request.completedAt ?? null),
  cached_prompt_tokens: column("bigint", (request) => request.cachedPromptTokens ?? null),
  cache_write_tokens: column("bigint", (request) => request.cacheWriteTokens ?? null),
  prompt_audio_tokens: column("bigint", (request) => request.promptAudioTokens ?? null),
  completion_audio_tokens: column("bigint", (request) => request.completionAudioTokens ?? null),
  reasoning_tokens: column("bigint", (request) => request.reasoningTokens ?? null),
  service_tier: column("text", (request) => request.serviceTier ?? null),
  upstream_status: column("integer", (request) => request.upstreamStatus ?? null),
  upstream_request_id: column("text", (request) => request.upstreamRequestId ?? null),
  upstream_error: column("text", (request) => request.upstreamError ?? null),
};

/** Columns that a settlement replaces and only the read of a single request selects. Null: not known. */
const RECEIPT = {
  expires_at: column("timestamptz", (request) => request.expiresAt ?? null),
  price_version: column("text", ({ receipt }) => receipt.price?.version ?? null),
  input_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.inputPicoUsd ?? null),
  output_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.outputPicoUsd ?? null),
  request_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.requestPicoUsd ?? null),
  cached_input_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.cachedInputPicoUsd ?? null),
  cache_write_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.cacheWritePicoUsd ?? null),
  input_audio_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.inputAudioPicoUsd ?? null),
  output_audio_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.outputAudioPicoUsd ?? null),
  reasoning_price_pico_usd: column("bigint", ({ receipt }) => receipt.price?.reasoningPicoUsd ?? null),
  billed_model: column("text", ({ receipt }) => receipt.billedModel ?? null),
  admitted_at: column("timestamptz", ({ receipt }) => receipt.admittedAt ?? null),
  first_token_ms: column("integer", ({ receipt }) => receipt.timeToFirstTokenMs ?? null),
  upstream_ms: column("integer", ({ receipt }) => receipt.upstreamMs ?? null),
  guardrail_decisions: column("jsonb", ({ receipt: { guardrailDecisions } }) =>
    guardrailDecisions.length === 0 ? null : guardrailDecisions.map(toDecisionJson),
  ),
  attempts: column("jsonb", ({ receipt: { attempts } }) =>
    attempts.length === 0 ? null : attempts.map(toAttemptJson),
  ),
  denied_amounts: column("jsonb", ({ receipt: { deniedAmounts } }) =>
    deniedAmounts === undefined ? null : toDeniedAmountsJson(deniedAmounts),
  ),
};

/** Cells in which the latency histograms count the request; replaced by a settlement, null if there is none. */
const LATENCY_CELLS = {
  total_ms_cell: column("smallint", (request) => totalCellOf(request) ?? null),
  first_token_ms_cell: column("smallint", (request) => firstTokenCellOf(request) ?? null),
};

export const REQUEST_COLUMNS = { ...FACTS, ...SLICES, ...OUTCOME, ...RECEIPT, ...LATENCY_CELLS };
export const SETTLED_COLUMNS = columnNames({ ...OUTCOME, ...RECEIPT, ...LATENCY_CELLS });
/** Columns of a ListedRequest. A page reads no others, which leaves less to the garbage collector. */
export const LISTED_COLUMNS = columnNames({ ...FACTS, ...OUTCOME });

/** Columns of a SessionRequest, in addition to those of its session. */
export const SESSION_COLUMNS = [
  "id",
  "key_id",
  "created_at",
  "status",
  "reserved_nano_usd",
  "prompt_tokens",
  "completion_tokens",
  "cost_nano_usd",
  "expires_at",
  "limit_set",
  "counted_at",
  "tokens_max",
] as const;

export type RequestRow = RowOf<typeof REQUEST_COLUMNS>;
export type ListedRow = RowOf<typeof FACTS & typeof OUTCOME>;

export function fromListedRow(row: ListedRow): ListedRequest {
  return {
    namespaceId: row.namespace_id,
    id: row.id,
    createdAt: row.created_at,
    keyId: row.key_id,
    endpoint: row.endpoint,
    model: row.model,
    provider: row.provider,
    streamed: row.streamed,
    status: row.status,
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
    shadowDenials: row.shadow_denials.map(fromShadowDenialJson),
    completedAt: row.completed_at ?? undefined,
    cachedPromptTokens: row.cached_prompt_tokens ?? undefined,
    cacheWriteTokens: row.cache_write_tokens ?? undefined,
    promptAudioTokens: row.prompt_audio_tokens ?? undefined,
    completionAudioTokens: row.completion_audio_tokens ?? undefined,
    reasoningTokens: row.reasoning_tokens ?? undefined,
    serviceTier: row.service_tier ?? undefined,
    upstreamStatus: row.upstream_status ?? undefined,
    upstreamRequestId: row.upstream_request_id ?? undefined,
    upstreamError: row.upstream_error ?? undefined,
  };
}

export function fromRequestRow(row: RequestRow): LoggedRequest {
  return {
    ...fromListedRow(row),
    expiresAt: row.expires_at ?? undefined,
    slices: fromSliceColumns(row),
    receipt: {
      price: fromPriceColumns(row),
      billedModel: row.billed_model ?? undefined,
      admittedAt: row.admitted_at ?? undefined,
      timeToFirstTokenMs: row.first_token_ms ?? undefined,
      upstreamMs: row.upstream_ms ?? undefined,
      guardrailDecisions: (row.guardrail_decisions ?? []).map(fromDecisionJson),
      attempts: (row.attempts ?? []).map(fromAttemptJson),
      deniedAmounts: row.denied_amounts === null ? undefined : fromDeniedAmountsJson(row.denied_amounts),
    },
  };
}

export function fromSessionRow(row: Pick<RequestRow, (typeof SESSION_COLUMNS)[number]>): SessionRequest {
  return {
    id: row.id,
    keyId: row.key_id,
    createdAt: row.created_at,
    status: row.status,
    reservedNanoUsd: row.reserved_nano_usd,
    costNanoUsd: row.cost_nano_usd,
    tokens: row.prompt_tokens + row.completion_tokens,
    expiresAt: row.expires_at ?? undefined,
    limitSet: row.limit_set ?? 0,
    countedAt: row.counted_at ?? undefined,
    tokensMax: row.tokens_max ?? 0n,
  };
}

function fromSliceColumns(row: RequestRow): AdmittedOnSlices | undefined {
  const { session_id: sessionId, limit_set: limitSet, counted_at: countedAt, tokens_max: tokensMax } = row;
  if (sessionId === null) return undefined;
  return { sessionId, limitSet: limitSet ?? 0, countedAt: countedAt ?? undefined, tokensMax: tokensMax ?? 0n };
}

function fromPriceColumns(row: RequestRow): Price | undefined {
  const { price_version: version, input_price_pico_usd: inputPicoUsd, output_price_pico_usd: outputPicoUsd } = row;
  if (version === null || inputPicoUsd === null || outputPicoUsd === null) return undefined;
  const ownRates = {
    requestPicoUsd: row.request_price_pico_usd ?? undefined,
    cachedInputPicoUsd: row.cached_input_price_pico_usd ?? undefined,
    cacheWritePicoUsd: row.cache_write_price_pico_usd ?? undefined,
    inputAudioPicoUsd: row.input_audio_price_pico_usd ?? undefined,
    outputAudioPicoUsd: row.output_audio_price_pico_usd ?? undefined,
    reasoningPicoUsd: row.reasoning_price_pico_usd ?? undefined,
  };
  return { version, inputPicoUsd, outputPicoUsd, ...definedFields(ownRates) };
}

function toShadowDenialJson({ policyId, bindingId, rule }: ShadowDenial) {
  return { policy_id: policyId, binding_id: bindingId, rule };
}

function fromShadowDenialJson(json: ReturnType<typeof toShadowDenialJson>): ShadowDenial {
  return { policyId: json.policy_id, bindingId: json.binding_id, rule: json.rule };
}

function toDecisionJson(decision: GuardrailDecision) {
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

function fromDecisionJson(json: ReturnType<typeof toDecisionJson>): GuardrailDecision {
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

/** Amounts are texts, because a number in JSON cannot represent every int64. */
function toDeniedAmountsJson({ limit, remaining, needed, retryAt }: DeniedAmounts) {
  return {
    limit: String(limit),
    remaining: String(remaining),
    needed: String(needed),
    retry_at_ms: retryAt?.getTime() ?? null,
  };
}

function fromDeniedAmountsJson(json: ReturnType<typeof toDeniedAmountsJson>): DeniedAmounts {
  const { limit, remaining, needed, retry_at_ms: retryAtMs } = json;
  const retryAt = retryAtMs === null ? undefined : new Date(retryAtMs);
  return { limit: BigInt(limit), remaining: BigInt(remaining), needed: BigInt(needed), retryAt };
}

function toAttemptJson({ provider, model, status, errorCode, startedMs, durationMs }: Attempt) {
  return {
    provider,
    model,
    status: status ?? null,
    error_code: errorCode,
    started_ms: startedMs ?? null,
    duration_ms: durationMs,
  };
}

function fromAttemptJson(json: ReturnType<typeof toAttemptJson>): Attempt {
  const { provider, model, status, error_code: errorCode, started_ms: startedMs, duration_ms: durationMs } = json;
  return { provider, model, status: status ?? undefined, errorCode, startedMs: startedMs ?? undefined, durationMs };
}
