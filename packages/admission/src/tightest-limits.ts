import type { LimitedBinding } from "./decide.ts";
import { type LimitRule, type LimitState, limitStatesOf } from "./limit-states.ts";

/** State of the tightest rate limit of one kind, as sent to clients in `x-ratelimit-*` headers. */
export interface RateLimitState {
  readonly limit: bigint;
  readonly remaining: bigint;
  /** Moment at which all of the limit is free again if nothing more is admitted. */
  readonly resetsAtMs: number;
}

/** Tightest limit of each kind; undefined if none applies. */
export interface TightestLimits {
  /** Nano-USD that remain of the budget with the least left. */
  readonly budgetRemainingNano: bigint | undefined;
  readonly requests: RateLimitState | undefined;
  readonly tokens: RateLimitState | undefined;
}

/** Tightest of the limits that are enforced: of each kind the one with the least remaining. */
export function tightestLimitsOf(bindings: readonly LimitedBinding[], nowMs: number): TightestLimits {
  const states = bindings.flatMap(({ limits, counter, shadow }) =>
    shadow ? [] : limitStatesOf(limits, counter, nowMs),
  );
  const tightest = (rule: LimitRule): LimitState | undefined =>
    states
      .filter((state) => state.rule === rule)
      .reduce<LimitState | undefined>((a, b) => (a === undefined || b.remaining < a.remaining ? b : a), undefined);
  const rateLimit = (rule: LimitRule): RateLimitState | undefined => {
    const least = tightest(rule);
    return least && { limit: least.limit, remaining: least.remaining, resetsAtMs: least.resetsAtMs ?? nowMs };
  };
  return {
    budgetRemainingNano: tightest("budget")?.remaining,
    requests: rateLimit("rate_limit.max_requests"),
    tokens: rateLimit("rate_limit.max_tokens"),
  };
}
