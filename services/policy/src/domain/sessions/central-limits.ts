import type { BudgetLimit, RateLimit } from "@routeplane/admission";

/** Shortest window of a rate limit of which slices are granted: a slice lasts for a hundredth of it at most. */
const LEAST_WINDOW_SECS = 10;
/** Minimum number of slots of which slices are granted: of fewer, a share rounds down to none. */
const LEAST_SLOTS = 64n;
/** Largest amount that a gateway can count: its amounts are JavaScript numbers. */
const MAX_AMOUNT = BigInt(Number.MAX_SAFE_INTEGER);

/** True if no slices of the budget are granted, so that only this service admits requests on it. */
export function isBudgetCentral({ limitNano }: BudgetLimit): boolean {
  return limitNano > MAX_AMOUNT;
}

/** True if no slices of the rate limit are granted, so that only this service admits requests on it. */
export function isRateLimitCentral({ windowSecs, maxRequests, maxTokens, maxConcurrent }: RateLimit): boolean {
  const isLarge = (maxRequests ?? 0n) > MAX_AMOUNT || (maxTokens ?? 0n) > MAX_AMOUNT;
  const hasFewSlots = maxConcurrent !== undefined && maxConcurrent < LEAST_SLOTS;
  return windowSecs < LEAST_WINDOW_SECS || hasFewSlots || isLarge;
}
