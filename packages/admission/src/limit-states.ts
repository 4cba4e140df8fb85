import { type Counter, resizeCounter, type Limits } from "./counter.ts";
import { emptyRing, type Ring, ringFreesAt, ringSum } from "./ring.ts";

/** Which maximum it is. */
export type LimitRule = "budget" | "rate_limit.max_requests" | "rate_limit.max_tokens" | "rate_limit.max_concurrent";

/** One maximum of a binding, as it stands: nano-USD, requests or tokens. */
export interface LimitState {
  readonly rule: LimitRule;
  readonly limit: bigint;
  /** >= 0, also when more was counted than the limit is by now. */
  readonly remaining: bigint;
  /** When everything that counts will have left, if nothing is added; undefined: never, or it is not known. */
  readonly resetsAtMs: number | undefined;
  /**
   * From when on so much fits, if nothing is added: to the millisecond where only what was counted is in the way, and a guess
   * where requests under way are, because nobody knows when they end. Undefined: it will never fit.
   */
  readonly fitsAt: (needed: bigint) => number | undefined;
}

/** After how long it is worth asking again where only requests under way are in the way. */
const UNDER_WAY_MS = 1_000;

/** Every maximum of a binding. */
export function limitStatesOf(limits: Limits, counter: Counter, nowMs: number): readonly LimitState[] {
  const { budget, rateLimit } = limits;
  const current = resizeCounter(counter, limits, nowMs);
  const meters: LimitState[] = [];
  const counting = (rule: LimitRule, limit: bigint, ring: Ring | undefined, held = 0n): void => {
    meters.push(windowMeter(rule, limit, ring ?? emptyRing(0), held, nowMs));
  };
  if (budget !== undefined) counting("budget", budget.limitNano, current.spend, current.reservedNano);
  const { maxRequests, maxTokens, maxConcurrent } = rateLimit ?? {};
  if (maxRequests !== undefined) counting("rate_limit.max_requests", maxRequests, current.requests);
  if (maxTokens !== undefined) counting("rate_limit.max_tokens", maxTokens, current.tokens);
  if (maxConcurrent !== undefined) meters.push(slotMeter(maxConcurrent, current.openReservations, nowMs));
  return meters;
}

/** @param held counts besides what is in the ring, until requests under way are over */
function windowMeter(rule: LimitRule, limit: bigint, ring: Ring, held: bigint, nowMs: number): LimitState {
  const counted = ringSum(ring, nowMs);
  return {
    rule,
    limit,
    remaining: atLeastZero(limit - counted - held),
    resetsAtMs: ringFreesAt(ring, 0n, nowMs),
    fitsAt(needed) {
      const room = limit - needed;
      if (room < 0n) return undefined;
      if (counted + held <= room) return nowMs;
      if (counted <= room) return nowMs + UNDER_WAY_MS;
      return ringFreesAt(ring, held <= room ? room - held : room, nowMs);
    },
  };
}

function slotMeter(limit: bigint, open: bigint, nowMs: number): LimitState {
  return {
    rule: "rate_limit.max_concurrent",
    limit,
    remaining: atLeastZero(limit - open),
    resetsAtMs: undefined,
    fitsAt(needed) {
      if (needed > limit) return undefined;
      return needed <= limit - open ? nowMs : nowMs + UNDER_WAY_MS;
    },
  };
}

function atLeastZero(amount: bigint): bigint {
  return amount > 0n ? amount : 0n;
}
