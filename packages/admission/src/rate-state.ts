import type { LimitedBinding } from "./decide.ts";
import { type LimitRule, type Meter, metersOf } from "./meters.ts";

/** How much is left under a maximum, and when all of it will be free again if nothing more is admitted. */
export interface LimitState {
  readonly limit: bigint;
  readonly left: bigint;
  readonly resetsAtMs: number;
}

/** The tightest maximum of each kind; undefined if there is none. */
export interface RateState {
  readonly requests: LimitState | undefined;
  readonly tokens: LimitState | undefined;
}

/** Of all rate limits that are enforced: the one with least left, of each kind. */
export function rateStateOf(bindings: readonly LimitedBinding[], nowMs: number): RateState {
  const meters = bindings.flatMap(({ limits, counter, shadow }) => (shadow ? [] : metersOf(limits, counter, nowMs)));
  const tightest = (rule: LimitRule): LimitState | undefined => {
    const least = meters
      .filter((meter) => meter.rule === rule)
      .reduce<Meter | undefined>((a, b) => (a === undefined || b.left < a.left ? b : a), undefined);
    return least && { limit: least.limit, left: least.left, resetsAtMs: least.resetsAtMs ?? nowMs };
  };
  return { requests: tightest("rate_limit.max_requests"), tokens: tightest("rate_limit.max_tokens") };
}
