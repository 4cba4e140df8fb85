/** Facts about the end of a request that an explanation needs. */
export interface RequestEnd {
  /** `pending`, `succeeded`, `failed`, `cancelled`, `denied` or `unknown`. */
  readonly status: string;
  /** Error code that the client got; null if there was none. */
  readonly errorCode: string | null;
  /** True if the charge is an estimate. */
  readonly estimated: boolean;
  /** Rule that denied it, e.g. `budget`; null unless a policy did. */
  readonly deniedRule: string | null;
  /** Policy that denied the request; null unless one did. Its name is null if the policy is deleted, or cannot be read. */
  readonly policy: { readonly id: string; readonly name: string | null } | null;
  /** Time from which the request would have been admitted, as a text for the reader; null if waiting does not help. */
  readonly retryAt: string | null;
}

/** Reason of each rule, to follow the name of the policy. */
const RULE_REASONS: ReadonlyMap<string, string> = new Map([
  ["budget", "has too little left for the request"],
  ["rate_limit.max_requests", "has no request left in its window"],
  ["rate_limit.max_tokens", "has too few tokens left in its window"],
  ["rate_limit.max_concurrent", "allows no more concurrent requests"],
  ["guardrail.model_allow", "does not allow the model"],
  ["guardrail.model_deny", "denies the model"],
  ["guardrail.max_request_tokens", "allows fewer tokens in one request"],
  ["guardrail.allow_streaming", "allows no streams"],
  ["guardrail.content_patterns", "blocks content of the request"],
  ["guardrail.uninspectable", "blocks content that cannot be inspected"],
  ["guardrail.service_tier_allow", "does not allow the service tier"],
  ["guardrail.modality_allow", "does not allow the kind of output"],
  ["guardrail.hosted_tool_allow", "does not allow a tool that the provider runs"],
]);

/**
 * Reason for the end of a request, as a sentence without its capital and full stop, e.g. `policy "daily-cap" has too little left for the
 * request`.
 */
export function reasonOf({ status, errorCode, estimated, deniedRule, policy }: RequestEnd): string {
  if (status === "denied") {
    const name =
      policy === null ? "a policy" : `policy ${policy.name === null ? policy.id : JSON.stringify(policy.name)}`;
    return `${name} ${RULE_REASONS.get(deniedRule ?? "") ?? `refuses the request by ${deniedRule === null ? "a rule that is not recorded" : `its rule ${deniedRule}`}`}`;
  }
  if (status === "pending") return "the request is under way";
  if (status === "unknown")
    return "its gateway was lost before it reported the end, so the reservation is charged in full";
  if (status === "succeeded")
    return estimated ? "answered; the upstream reported no usage, so the charge is an estimate" : "answered";
  const cause = errorCode === null ? "" : ` (${errorCode})`;
  return status === "cancelled" ? `cancelled before the answer was complete${cause}` : `failed${cause}`;
}

/** Advice on what to do next, in order, each a sentence without its full stop; empty if there is nothing to do. */
export function adviceOf({ status, errorCode, deniedRule, policy, retryAt }: RequestEnd): readonly string[] {
  if (status === "denied" && policy !== null) return adviceOfRule(deniedRule ?? "", retryAt);
  if ((status === "failed" || status === "cancelled") && errorCode !== null)
    return [`Look ${errorCode} up in docs/errors.md, which says what it means and what to do`];
  return [];
}

function adviceOfRule(rule: string, retryAt: string | null): readonly string[] {
  if (rule.startsWith("guardrail.")) return ["Send a request that the guardrail allows, or have it changed"];
  const smaller = "Ask for less: a lower max_tokens, a shorter prompt or a cheaper model";
  const isSized = rule === "budget" || rule === "rate_limit.max_tokens";
  const raise = rule === "budget" ? "Have the budget raised" : "Have the rate limit raised";
  const wait = retryAt === null ? [] : [`Try again from ${retryAt}`];
  return [...wait, ...(isSized ? [smaller] : []), raise];
}
