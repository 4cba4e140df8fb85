import { type Counter, type Limits, resizeCounter } from "./counter.ts";
import { ENDLESS } from "./scale.ts";
import { emptyRing, type Ring, ringFreesAt, ringSum } from "./bucket-ring.ts";

/** Name of one limit of a budget or rate limit, as denials name it. */
export type LimitRule = "budget" | "rate_limit.max_requests" | "rate_limit.max_tokens" | "rate_limit.max_concurrent";

/** State of one limit of a binding. Amounts are nano-USD, requests or tokens, as the rule counts. */
export interface LimitState {
  readonly rule: LimitRule;
  readonly limit: bigint;
  /** >= 0, also when more is counted than the limit allows by now. */
  readonly remaining: bigint;
  /** Moment at which nothing is counted any more if nothing is added; undefined if that never happens or is not known. */
  readonly resetsAtMs: number | undefined;
  /**
   * Moment from which `needed` fits if nothing is added; undefined if it never fits. Exact to the millisecond where only
   * counted amounts are in the way; `SLOT_RETRY_MS` from now where open reservations are, because their end is not known.
   */
  readonly fitsAt: (needed: bigint) => number | undefined;
}

/** Wait before a retry where only open reservations are in the way. */
const SLOT_RETRY_MS = 1_000;

/** States of all limits of a binding. */
export function limitStatesOf(limits: Limits, counter: Counter, nowMs: number): readonly LimitState[] {
  const { budget, rateLimit } = limits;
  const current = resizeCounter(counter, limits, nowMs);
  const states: LimitState[] = [];
  const addWindow = (rule: LimitRule, limit: bigint, ring: Ring | undefined, reserved = 0n): void => {
    states.push(windowState(rule, limit, ring ?? emptyRing(ENDLESS), reserved, nowMs));
  };
  if (budget !== undefined) addWindow("budget", budget.limitNano, current.spend, current.reservedNano);
  const { maxRequests, maxTokens, maxConcurrent } = rateLimit ?? {};
  if (maxRequests !== undefined) addWindow("rate_limit.max_requests", maxRequests, current.requests);
  if (maxTokens !== undefined) addWindow("rate_limit.max_tokens", maxTokens, current.tokens);
  if (maxConcurrent !== undefined) states.push(slotState(maxConcurrent, current.openReservations, nowMs));
  return states;
}

/** @param reserved amount that counts in addition to the ring, until the open reservations end */
function windowState(rule: LimitRule, limit: bigint, ring: Ring, reserved: bigint, nowMs: number): LimitState {
  const counted = ringSum(ring, nowMs);
  return {
    rule,
    limit,
    remaining: atLeastZero(limit - counted - reserved),
    resetsAtMs: ringFreesAt(ring, 0n, nowMs),
    fitsAt(needed) {
      const countedMax = limit - needed;
      if (countedMax < 0n) return undefined;
      if (counted + reserved <= countedMax) return nowMs;
      if (counted <= countedMax) return nowMs + SLOT_RETRY_MS;
      return ringFreesAt(ring, reserved <= countedMax ? countedMax - reserved : countedMax, nowMs);
    },
  };
}

function slotState(limit: bigint, openReservations: bigint, nowMs: number): LimitState {
  return {
    rule: "rate_limit.max_concurrent",
    limit,
    remaining: atLeastZero(limit - openReservations),
    resetsAtMs: undefined,
    fitsAt(needed) {
      if (needed > limit) return undefined;
      return needed <= limit - openReservations ? nowMs : nowMs + SLOT_RETRY_MS;
    },
  };
}

function atLeastZero(amount: bigint): bigint {
  return amount > 0n ? amount : 0n;
}
