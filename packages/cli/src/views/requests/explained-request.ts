import { formatTime } from "../../output/time.ts";
import { type DenialView, denialFields } from "./denial.ts";
import { guardrailFields, type ReceiptView } from "./receipt.ts";
import type { RequestView } from "./request.ts";

/** Policy and binding that denied a request. */
export interface DenialSource {
  /** The name is null if the policy is deleted, or cannot be read. */
  readonly policy: { readonly id: string; readonly name: string | null };
  readonly binding: {
    readonly id: string;
    /** Null if the binding is removed, or cannot be read; so are the id and the name of its principal. */
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
    reason: reasonOf(request, source),
    next: nextSteps(request, source),
  };
}

/** Reasons of rules, after the name of the policy. */
const RULE_REASONS: ReadonlyMap<string, string> = new Map([
  ["budget", "has too little left for the request"],
  ["rate_limit.max_requests", "has no request left in its window"],
  ["rate_limit.max_tokens", "has too few tokens left in its window"],
  ["rate_limit.max_concurrent", "has as many requests under way as it allows"],
  ["guardrail.model_allow", "does not list the model among those that may be called"],
  ["guardrail.model_deny", "lists the model among those that may not be called"],
  ["guardrail.max_request_tokens", "allows fewer tokens in one request"],
  ["guardrail.allow_streaming", "allows no streams"],
  ["guardrail.content_patterns", "blocks content of the request"],
]);

function reasonOf(request: RequestView, source: DenialSource | null): string {
  const { status, denied_rule: rule, error_code: code, estimated } = request;
  if (status === "denied") {
    const name = source === null ? "a policy" : `policy ${nameText(source.policy)}`;
    return `${name} ${RULE_REASONS.get(rule ?? "") ?? `refuses it by its rule ${rule ?? "that is not recorded"}`}`;
  }
  if (status === "pending") return "the request is under way";
  if (status === "unknown")
    return "its gateway was lost before it reported the end, so that the reservation is charged";
  if (status === "succeeded")
    return estimated ? "answered; the upstream told no usage, so that the charge is an estimate" : "answered";
  const cause = code === null ? "" : ` (${code})`;
  return status === "cancelled" ? `cancelled before the answer was complete${cause}` : `failed${cause}`;
}

function nextSteps(request: RequestView & ReceiptView, source: DenialSource | null): readonly string[] {
  const { status, denied_rule: rule, denial, error_code: code } = request;
  if (status === "denied" && source !== null)
    return [...stepsOfRule(rule ?? "", denial), `See the policy: routeplane cloud policy get ${source.policy.id}`];
  if (status === "failed" || status === "cancelled")
    return code === null ? [] : [`Look ${code} up in docs/errors.md, which says what it means and what to do`];
  return [];
}

function stepsOfRule(rule: string, denial: DenialView | null): readonly string[] {
  if (rule.startsWith("guardrail.")) return ["Send a request that the guardrail allows, or have it changed"];
  const smaller = "Ask for less: a lower max_tokens, a shorter prompt or a cheaper model";
  const isSized = rule === "budget" || rule === "rate_limit.max_tokens";
  const raise = rule === "budget" ? "Have the budget raised" : "Have the rate limit raised";
  const wait = denial?.retry_at ? [`Try again from ${formatTime(denial.retry_at)}`] : [];
  return [...wait, ...(isSized ? [smaller] : []), raise];
}

function nameText({ id, name }: DenialSource["policy"]): string {
  return name === null ? id : JSON.stringify(name);
}

type Field = readonly [string, string];

/** Fields of an explanation: the reason first, what to do last. */
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
