import { adviceOf, reasonOf, type RequestEnd } from "@routeplane/explanations";
import { formatTime } from "../../output/time.ts";
import { type DenialView, denialFields } from "./denial.ts";
import { guardrailFields, type ReceiptView } from "./receipt.ts";
import type { RequestView } from "./request.ts";

/** Policy and binding that denied a request. */
export interface DenialSource {
  /** Policy; its name is null if it is deleted, or cannot be read. */
  readonly policy: { readonly id: string; readonly name: string | null };
  readonly binding: {
    readonly id: string;
    /** Null if the binding was removed, or cannot be read; the same holds for the id and the name of its principal. */
    readonly principal_type: string | null;
    readonly principal_id: string | null;
    /** Name of a key; null for the namespace. */
    readonly principal_name: string | null;
  } | null;
}

/** Explanation of how a request ended. */
export interface ExplainedRequestView extends Pick<RequestView, "id" | "key_id" | "status" | "model" | "provider"> {
  /** Name of the calling key; null if it cannot be read. */
  readonly key_name: string | null;
  readonly http_status: number | null;
  readonly error_code: string | null;
  readonly upstream_error: string | null;
  /** Rule that denied it, e.g. `budget`; null unless a policy did. */
  readonly rule: string | null;
  readonly policy: DenialSource["policy"] | null;
  readonly binding: DenialSource["binding"];
  readonly denial: DenialView | null;
  readonly guardrail_decisions: ReceiptView["guardrail_decisions"];
  /** Reason in a sentence. */
  readonly reason: string;
  /** Advice on what to do next, in order; empty if there is nothing to do. */
  readonly next: readonly string[];
}

export function explainedRequest(
  request: RequestView & ReceiptView,
  keyName: string | null,
  source: DenialSource | null,
): ExplainedRequestView {
  const { id, key_id, status, model, provider, http_status, error_code, upstream_error, denied_rule: rule } = request;
  const { denial, guardrail_decisions } = request;
  const end = toRequestEnd(request, source);
  return {
    id,
    key_id,
    key_name: keyName,
    status,
    model,
    provider,
    http_status,
    error_code,
    upstream_error,
    rule,
    policy: source?.policy ?? null,
    binding: source?.binding ?? null,
    denial,
    guardrail_decisions,
    reason: reasonOf(end),
    next: nextSteps(end),
  };
}

/** Converts the request to the input of its explanation. */
function toRequestEnd(request: RequestView & ReceiptView, source: DenialSource | null): RequestEnd {
  const { status, error_code: errorCode, estimated, denied_rule: deniedRule, denial } = request;
  const retryAt = denial?.retry_at ? formatTime(denial.retry_at) : null;
  return { status, errorCode, estimated, deniedRule, policy: source?.policy ?? null, retryAt };
}

function nextSteps(end: RequestEnd): readonly string[] {
  if (end.status !== "denied" || end.policy === null) return adviceOf(end);
  return [...adviceOf(end), `See the policy: routeplane cloud policy get ${end.policy.id}`];
}

type Field = readonly [string, string];

/** Fields of an explanation: the reason first, the advice last. */
export function explainedFields(view: ExplainedRequestView): readonly Field[] {
  const { status, key_id, key_name, error_code, http_status, policy, binding, rule, upstream_error, next } = view;
  const answered = [http_status, error_code].filter((part) => part !== null).join(" ");
  const model = [view.provider, view.model].filter((part) => part !== null).join("/");
  return [
    ["request", view.id],
    ["status", answered === "" ? status : `${status}: ${answered}`],
    ["reason", view.reason],
    ...(policy === null
      ? []
      : [["policy", policy.name === null ? policy.id : `${policy.name} (${policy.id})`] as const]),
    ...(rule === null ? [] : [["rule", rule] as const]),
    ...(binding === null ? [] : [["bound to", bindingText(binding)] as const]),
    ...denialFields(view.denial),
    ...guardrailFields(view),
    ...(upstream_error === null ? [] : [["upstream said", upstream_error] as const]),
    ["key", key_name === null ? key_id : `${key_name} (${key_id})`],
    ["model", model === "" ? "-" : model],
    ...next.map((step): Field => ["next", step]),
  ];
}

function bindingText({
  id,
  principal_type,
  principal_id,
  principal_name,
}: NonNullable<DenialSource["binding"]>): string {
  if (principal_type === null) return `${id}, which is removed or cannot be read`;
  if (principal_type === "namespace") return `the namespace (${id})`;
  return `key ${principal_name === null ? principal_id : `${principal_name} (${principal_id})`} (${id})`;
}
