import type { LimitedBinding } from "./decide.ts";
import { type LimitRule, type LimitState, limitStatesOf } from "./limit-states.ts";

/** How much is left under a maximum, and when all of it will be free again if nothing more is admitted. */
export interface RateLimitState {
  readonly limit: bigint;
  readonly remaining: bigint;
  readonly resetsAtMs: number;
}

/** The tightest maximum of each kind; undefined if there is none. */
export interface RateLimitStates {
  readonly requests: RateLimitState | undefined;
  readonly tokens: RateLimitState | undefined;
}

/** Of all rate limits that are enforced: the one with least left, of each kind. */
export function rateLimitStatesOf(bindings: readonly LimitedBinding[], nowMs: number): RateLimitStates {
  const meters = bindings.flatMap(({ limits, counter, shadow }) =>
    shadow ? [] : limitStatesOf(limits, counter, nowMs),
  );
  const tightest = (rule: LimitRule): RateLimitState | undefined => {
    const least = meters
      .filter((meter) => meter.rule === rule)
      .reduce<LimitState | undefined>((a, b) => (a === undefined || b.remaining < a.remaining ? b : a), undefined);
    return least && { limit: least.limit, remaining: least.remaining, resetsAtMs: least.resetsAtMs ?? nowMs };
  };
  return { requests: tightest("rate_limit.max_requests"), tokens: tightest("rate_limit.max_tokens") };
}
