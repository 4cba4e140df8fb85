import { type LoggedRequest, RequestStatus } from "@routeplane/contracts/usage";
import { formatMicroUsd, formatUsd } from "../../output/money.ts";
import type { Column } from "../../output/table.ts";
import { formatTime } from "../../output/time.ts";
import { chargeFields, guardrailFields, type ReceiptView, timeFields } from "./receipt.ts";
import { fromProtoInteger, fromProtoRequiredTime, fromProtoText, fromProtoTime } from "../values.ts";

export interface RequestView {
  readonly id: string;
  readonly key_id: string;
  /** `pending`, `succeeded`, `failed`, `cancelled`, `denied` or `unknown`. */
  readonly status: string;
  readonly endpoint: string;
  readonly model: string | null;
  readonly provider: string | null;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly estimated: boolean;
  readonly streamed: boolean;
  readonly http_status: number | null;
  readonly error_code: string | null;
  readonly denied_by_policy_id: string | null;
  readonly denied_by_binding_id: string | null;
  /** Rule that the denial names, e.g. `budget` or `rate_limit.max_requests`. */
  readonly denied_rule: string | null;
  /** Denials that bindings in shadow mode would have made. */
  readonly shadow_denials: readonly ShadowDenialView[];
  readonly created_at: string;
  readonly completed_at: string | null;
}

export interface ShadowDenialView {
  readonly policy_id: string;
  readonly binding_id: string;
  readonly rule: string;
}

export function fromProtoRequest(request: LoggedRequest): RequestView {
  return {
    id: request.id,
    key_id: request.keyId,
    status: fromProtoStatus(request.status),
    endpoint: request.endpoint,
    model: fromProtoText(request.model),
    provider: fromProtoText(request.provider),
    prompt_tokens: fromProtoInteger(request.promptTokens),
    completion_tokens: fromProtoInteger(request.completionTokens),
    cost_micro_usd: fromProtoInteger(request.costMicroUsd),
    reserved_micro_usd: fromProtoInteger(request.reservedMicroUsd),
    estimated: request.estimated,
    streamed: request.streamed,
    http_status: request.httpStatus === 0 ? null : request.httpStatus,
    error_code: fromProtoText(request.errorCode),
    denied_by_policy_id: fromProtoText(request.deniedByPolicyId),
    denied_by_binding_id: fromProtoText(request.deniedByBindingId),
    denied_rule: fromProtoText(request.deniedRule),
    shadow_denials: request.shadowDenials.map(({ policyId, bindingId, rule }) => ({
      policy_id: policyId,
      binding_id: bindingId,
      rule,
    })),
    created_at: fromProtoRequiredTime(request.createdAt),
    completed_at: fromProtoTime(request.completedAt),
  };
}

/** Name of a status; `unknown` also for one that this release does not know. */
export function fromProtoStatus(status: RequestStatus): string {
  return (RequestStatus[status] ?? "unknown").toLowerCase();
}

export const REQUEST_COLUMNS: readonly Column<RequestView>[] = [
  { header: "TIME", cell: ({ created_at }) => formatTime(created_at) },
  { header: "ID", cell: ({ id }) => id },
  { header: "KEY", leaveOutRank: 1, cell: ({ key_id }) => key_id },
  { header: "STATUS", cell: ({ status, error_code }) => (error_code === null ? status : `${status} (${error_code})`) },
  { header: "MODEL", leaveOutRank: 4, cell: ({ model }) => model ?? "-" },
  { header: "IN", right: true, leaveOutRank: 3, cell: ({ prompt_tokens }) => String(prompt_tokens) },
  { header: "OUT", right: true, leaveOutRank: 3, cell: ({ completion_tokens }) => String(completion_tokens) },
  { header: "MICRO-USD", right: true, leaveOutRank: 2, cell: ({ cost_micro_usd }) => String(cost_micro_usd) },
  { header: "USD", right: true, cell: ({ cost_micro_usd }) => formatUsd(cost_micro_usd) },
];

/** Fields of the receipt of a request. */
export function requestFields(request: RequestView & ReceiptView): readonly (readonly [string, string])[] {
  const { error_code, http_status, completed_at, shadow_denials } = request;
  const answered = [http_status, error_code].filter((part) => part !== null).join(" ");
  const denied = [request.denied_rule, request.denied_by_policy_id, request.denied_by_binding_id];
  return [
    ["id", request.id],
    ["key", request.key_id],
    ["status", request.status + (request.estimated ? " (the charge is an estimate)" : "")],
    ["endpoint", request.endpoint + (request.streamed ? " (streamed)" : "")],
    ["model", [request.provider, request.model].filter((part) => part !== null).join("/") || "-"],
    ["answered", answered || "-"],
    ...(request.status === "denied" ? [["denied by", denied.filter((part) => part !== null).join(" ")] as const] : []),
    ...shadow_denials.map(
      ({ rule, policy_id, binding_id }) => ["shadow", `${rule} ${policy_id} ${binding_id}`] as const,
    ),
    ...guardrailFields(request),
    ...chargeFields(request),
    ["reserved", formatMicroUsd(request.reserved_micro_usd)],
    ["charged", formatMicroUsd(request.cost_micro_usd)],
    ...timeFields(request, completed_at),
  ];
}
