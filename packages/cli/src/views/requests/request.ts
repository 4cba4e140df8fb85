import { type LoggedRequest, RequestStatus } from "@routeplane/contracts/usage";
import type { Names } from "../../request-names.ts";
import { countColumn, moneyColumns, textColumn, timeColumn } from "../../output/columns.ts";
import { formatMicroUsd } from "../../output/money.ts";
import type { Column } from "../../output/table.ts";
import { denialFields } from "./denial.ts";
import { attemptFields, chargeFields, guardrailFields, type ReceiptView, timeFields } from "./receipt.ts";
import { fromProtoCount, fromProtoInteger, fromProtoRequiredTime, fromProtoText, fromProtoTime } from "../values.ts";

/** Fields of a request, in the order of `--json` and of exports. The only list of them. */
const FIELDS = {
  id: ({ id }: LoggedRequest) => id,
  key_id: ({ keyId }: LoggedRequest) => keyId,
  /** `pending`, `succeeded`, `failed`, `cancelled`, `denied` or `unknown`. */
  status: ({ status }: LoggedRequest) => fromProtoStatus(status),
  endpoint: ({ endpoint }: LoggedRequest) => endpoint,
  model: ({ model }: LoggedRequest) => fromProtoText(model),
  provider: ({ provider }: LoggedRequest) => fromProtoText(provider),
  prompt_tokens: ({ promptTokens }: LoggedRequest) => fromProtoInteger(promptTokens),
  completion_tokens: ({ completionTokens }: LoggedRequest) => fromProtoInteger(completionTokens),
  cost_micro_usd: ({ costMicroUsd }: LoggedRequest) => fromProtoInteger(costMicroUsd),
  reserved_micro_usd: ({ reservedMicroUsd }: LoggedRequest) => fromProtoInteger(reservedMicroUsd),
  estimated: ({ estimated }: LoggedRequest) => estimated,
  streamed: ({ streamed }: LoggedRequest) => streamed,
  http_status: ({ httpStatus }: LoggedRequest) => (httpStatus === 0 ? null : httpStatus),
  error_code: ({ errorCode }: LoggedRequest) => fromProtoText(errorCode),
  denied_by_policy_id: ({ deniedByPolicyId }: LoggedRequest) => fromProtoText(deniedByPolicyId),
  denied_by_binding_id: ({ deniedByBindingId }: LoggedRequest) => fromProtoText(deniedByBindingId),
  /** Rule that the denial names, e.g. `budget` or `rate_limit.max_requests`. */
  denied_rule: ({ deniedRule }: LoggedRequest) => fromProtoText(deniedRule),
  /** Denials that bindings in shadow mode would have made. */
  shadow_denials: ({ shadowDenials }: LoggedRequest) =>
    shadowDenials.map(({ policyId, bindingId, rule }) => ({ policy_id: policyId, binding_id: bindingId, rule })),
  created_at: ({ createdAt }: LoggedRequest) => fromProtoRequiredTime(createdAt),
  completed_at: ({ completedAt }: LoggedRequest) => fromProtoTime(completedAt),
  /** Parts of the token counts above, each included in its whole; null unless the upstream reports it. */
  cached_prompt_tokens: ({ cachedPromptTokens }: LoggedRequest) => fromProtoCount(cachedPromptTokens),
  cache_write_tokens: ({ cacheWriteTokens }: LoggedRequest) => fromProtoCount(cacheWriteTokens),
  prompt_audio_tokens: ({ promptAudioTokens }: LoggedRequest) => fromProtoCount(promptAudioTokens),
  completion_audio_tokens: ({ completionAudioTokens }: LoggedRequest) => fromProtoCount(completionAudioTokens),
  reasoning_tokens: ({ reasoningTokens }: LoggedRequest) => fromProtoCount(reasoningTokens),
  /** Service tier that it was charged by. */
  service_tier: ({ serviceTier }: LoggedRequest) => fromProtoText(serviceTier),
  upstream_status: ({ upstreamStatus }: LoggedRequest) => upstreamStatus ?? null,
  /** Id that the upstream gave it. */
  upstream_request_id: ({ upstreamRequestId }: LoggedRequest) => fromProtoText(upstreamRequestId),
  /** Error message of the upstream. */
  upstream_error: ({ upstreamError }: LoggedRequest) => fromProtoText(upstreamError),
  /** Current names; null if not known. */
  key_name: ({ keyId }: LoggedRequest, names: Names) => names.key(keyId),
  namespace_name: (_: LoggedRequest, names: Names) => names.namespace,
} as const;

type Fields = typeof FIELDS;
export type RequestView = { readonly [Name in keyof Fields]: ReturnType<Fields[Name]> };
export const REQUEST_FIELD_NAMES = Object.keys(FIELDS) as readonly (keyof Fields)[];

export function fromProtoRequest(request: LoggedRequest, names: Names): RequestView {
  return Object.fromEntries(Object.entries(FIELDS).map(([name, read]) => [name, read(request, names)])) as RequestView;
}

/** Name of a status; `unknown` also for a status that this release does not know. */
export function fromProtoStatus(status: RequestStatus): string {
  return (RequestStatus[status] ?? "unknown").toLowerCase();
}

function keyText({ key_name, key_id }: RequestView): string {
  return key_name ?? key_id;
}

export const REQUEST_COLUMNS: readonly Column<RequestView>[] = [
  timeColumn("TIME", "created_at"),
  { header: "ID", cell: ({ id }) => id },
  { header: "KEY", name: "key_name", leaveOutRank: 5, cell: keyText, value: ({ key_name }) => key_name },
  { header: "KEY ID", only: "wide", cell: ({ key_id }) => key_id },
  {
    header: "STATUS",
    cell: ({ status, error_code }) => (error_code === null ? status : `${status} (${error_code})`),
    value: ({ status }) => status,
  },
  textColumn("ERROR", "error_code", { only: "programs" }),
  textColumn("MODEL", "model", { leaveOutRank: 4 }),
  textColumn("PROVIDER", "provider", { only: "wide" }),
  countColumn("IN", "prompt_tokens", { leaveOutRank: 3 }),
  countColumn("OUT", "completion_tokens", { leaveOutRank: 3 }),
  ...moneyColumns<"cost_micro_usd", RequestView>("cost_micro_usd"),
  { header: "ENDPOINT", only: "wide", cell: ({ endpoint }) => endpoint },
  textColumn("NAMESPACE", "namespace_name", { only: "wide" }),
];

/** Fields for the upstream's response: its status if the client got another, its request id and its error message. */
function upstreamFields(request: RequestView): readonly (readonly [string, string])[] {
  const { http_status, upstream_status, upstream_request_id, upstream_error } = request;
  const status = upstream_status === null || upstream_status === http_status ? [] : [String(upstream_status)];
  const said = [...status, upstream_error].filter((part) => part !== null).join(" ");
  return [
    ...(said === "" ? [] : [["upstream said", said] as const]),
    ...(upstream_request_id === null ? [] : [["upstream id", upstream_request_id] as const]),
  ];
}

/** Fields of a request and its receipt. */
export function requestFields(request: RequestView & ReceiptView): readonly (readonly [string, string])[] {
  const { error_code, http_status, completed_at, shadow_denials } = request;
  const answered = [http_status, error_code].filter((part) => part !== null).join(" ");
  const denied = [request.denied_rule, request.denied_by_policy_id, request.denied_by_binding_id];
  return [
    ["id", request.id],
    ["key", request.key_name === null ? request.key_id : `${request.key_name} (${request.key_id})`],
    ["status", request.status + (request.estimated ? " (the charge is an estimate)" : "")],
    ["endpoint", request.endpoint + (request.streamed ? " (streamed)" : "")],
    ["model", [request.provider, request.model].filter((part) => part !== null).join("/") || "-"],
    ["answered", answered || "-"],
    ...upstreamFields(request),
    ...attemptFields(request),
    ...(request.status === "denied" ? [["denied by", denied.filter((part) => part !== null).join(" ")] as const] : []),
    ...denialFields(request.denial),
    ...shadow_denials.map(
      ({ rule, policy_id, binding_id }) => ["shadow", `${rule} ${policy_id} ${binding_id}`] as const,
    ),
    ...guardrailFields(request),
    ...(request.service_tier === null ? [] : [["service tier", request.service_tier] as const]),
    ...chargeFields(request),
    ["reserved", formatMicroUsd(request.reserved_micro_usd)],
    ["charged", formatMicroUsd(request.cost_micro_usd)],
    ...timeFields(request, completed_at),
  ];
}
