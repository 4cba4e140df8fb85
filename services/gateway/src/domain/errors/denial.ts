import type { Clock } from "@routeplane/domain";
import type { Decisions, Denial, Settlement } from "../ports.ts";
import { NO_RECEIPT } from "../metering/receipt.ts";
import { Refusal, type RefusalFacts } from "./refusal.ts";

/** Which rule of which policy refuses a request. */
export interface DenialFacts {
  readonly policyId: string;
  readonly policyName: string;
  readonly bindingId: string;
  readonly principalType: "namespace" | "api_key";
  readonly principalId: string;
  /** E.g. `guardrail.model_allow`. */
  readonly rule: string;
  /** The name of the content pattern, if it was one. */
  readonly pattern?: string;
  /** When the request is worth sending again; absent: waiting does not help. */
  readonly retryAt?: Date | undefined;
}

/** A policy refuses the request: nothing has been sent upstream, nothing is charged, and the request log says why. */
export class Denied extends Refusal {
  readonly denial: DenialFacts;

  constructor(denial: DenialFacts, facts: Omit<RefusalFacts, "details">) {
    super({ ...facts, details: denialDetails(denial) });
    this.denial = denial;
  }
}

/** What the client's error object says of a denial. Never the text that a pattern matched. */
export function denialDetails(denial: DenialFacts): NonNullable<RefusalFacts["details"]> {
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

/** The SDKs wait as long as `Retry-After` says if that is less; else they would ask again at once. */
const MAX_RETRY_AFTER_SECS = 60;

/** 402 for a budget, 429 for a rate limit. */
export function limitExceeded({ message, ...denial }: Denial, nowMs: number): Denied {
  const { rule, retryAt } = denial;
  if (rule === "budget") {
    const words = { message, type: "insufficient_quota", code: "budget_exceeded" };
    return new Denied(denial, { ...words, status: 402, retryable: retryAt !== undefined });
  }
  const type = rule === "rate_limit.max_tokens" ? "tokens" : "requests";
  const words = { message, type, code: "rate_limit_exceeded" };
  if (retryAt === undefined) {
    return new Denied(denial, { ...words, status: 429, retryable: false, retryAfter: undefined });
  }
  const waitSecs = Math.max(1, Math.ceil((retryAt.getTime() - nowMs) / 1_000));
  const retryable = waitSecs < MAX_RETRY_AFTER_SECS;
  return new Denied(denial, { ...words, status: 429, retryAfter: String(waitSecs), retryable });
}

/** The record of a request that was denied: cost 0. */
export function denialSettlement(
  { facts: { status, code }, denial }: Denied,
  { shadowDenials, guardrailDecisions }: Decisions,
  clock: Clock,
): Settlement {
  return {
    outcome: "denied",
    completedAt: new Date(clock()),
    promptTokens: 0,
    completionTokens: 0,
    costNanoUsd: 0n,
    reservedNanoUsd: 0n,
    estimated: false,
    httpStatus: status,
    errorCode: code ?? "",
    deniedByPolicyId: denial.policyId,
    deniedByBindingId: denial.bindingId,
    deniedRule: denial.rule,
    shadowDenials,
    guardrailDecisions,
    ...NO_RECEIPT,
  };
}
