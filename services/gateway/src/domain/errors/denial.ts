/** A policy's refusal of a request: policy, binding, rule and reason. Also of an answer that breaks a guardrail. */
export interface Denial {
  readonly policyId: string;
  readonly policyName: string;
  readonly bindingId: string;
  readonly principalType: "namespace" | "api_key";
  readonly principalId: string;
  /** Rule of the policy, e.g. `budget`, `rate_limit.max_requests` or `guardrail.model_allow`. */
  readonly rule: string;
  /** Name of the content pattern that matched; absent for every other rule. */
  readonly pattern?: string;
  /** Time from which the request is worth sending again; absent if waiting does not help. */
  readonly retryAt?: Date | undefined;
  /** Amounts of the limit that denied it; absent unless a budget or a rate limit did. */
  readonly amounts?: DeniedAmounts | undefined;
  /** True if it would be denied even without running requests and slices; absent if that is not known. */
  readonly isFirm?: boolean;
  /** Reason for people; quotes nothing that a pattern matched. */
  readonly message: string;
}

/** Amounts of a limit that denied a request: micro-USD, requests, tokens or requests at the same time, as its rule counts. */
export interface DeniedAmounts {
  readonly limit: bigint;
  readonly remaining: bigint;
  /** Smallest amount with which the request would have been admitted. */
  readonly needed: bigint;
}

/** Members of the client's error object that name a denial. Never the text that a pattern matched. */
export function denialDetails(denial: Denial) {
  const { policyId, policyName, bindingId, principalType, principalId, rule, pattern, retryAt } = denial;
  return {
    policy_id: policyId,
    policy_name: policyName,
    binding_id: bindingId,
    principal: { type: principalType, id: principalId },
    rule,
    ...(pattern === undefined ? {} : { pattern }),
    ...(retryAt && { retry_at: retryAt.toISOString() }),
  };
}
