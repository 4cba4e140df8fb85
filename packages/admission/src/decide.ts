/**
 * Admission of one request against all limits that apply to it, as a pure function.
 *
 * 1. Compute the least useful reservation: one output token for each choice.
 * 2. Compare it with every limit of every binding. An enforced limit that it exceeds denies the request; of several, the denial
 *    names the one that frees last, because after it the request fits under all others.
 * 3. Otherwise lower the output bound, if it must be, to the largest multiple of the choices that fits under every limit.
 *    Bounds that can be tightened are denied instead: the caller counts tokens and asks again.
 * 4. Reserve the cost of the bounds on every binding but the shadow bindings that would have denied the request.
 *
 * The caller holds the counters' locks, so that nothing changes between the decision and the write.
 */
import type { Counter, Limits, Reservation } from "./counter.ts";
import { type LimitRule, type LimitState, limitStatesOf } from "./limit-states.ts";
import { reservationCost, type TokenPrice } from "./price.ts";

/** Upper bounds of what a request can use. */
export interface RequestBounds {
  readonly price: TokenPrice;
  readonly inputTokensMax: bigint;
  /** Bound over all choices; 0 if the request yields no output tokens. */
  readonly outputTokensMax: bigint;
  /** Number of choices that share the output bound; >= 1. */
  readonly choices: bigint;
  /**
   * True if the caller can still tighten the bounds: the request is then denied where it would otherwise get a lower output bound or a
   * shadow denial that depends on the bounds. False by default.
   */
  readonly refuseRatherThanLower?: boolean;
}

/** Binding whose limits apply to the request, with the state of its counter. */
export interface LimitedBinding {
  readonly limits: Limits;
  readonly counter: Counter;
  /** True if the binding only reports what it would deny. */
  readonly shadow: boolean;
}

/** Limit that the request does not fit under. Amounts are nano-USD, requests or tokens, as the rule counts. */
export interface Excess<B extends LimitedBinding> {
  readonly binding: B;
  readonly rule: LimitRule;
  readonly limit: bigint;
  readonly remaining: bigint;
  /** Least amount that the request could be admitted for. */
  readonly needed: bigint;
  /** Moment from which the request fits if nothing else is admitted; undefined if waiting does not help. */
  readonly retryAtMs: number | undefined;
}

export type Decision<B extends LimitedBinding> = {
  /** First excess of each shadow binding that would have denied the request. */
  readonly shadowDenials: readonly Excess<B>[];
} & (
  | (Reservation & {
      readonly outcome: "admit";
      /** Output bound of the request, or a lower one that fits: then a multiple of the choices. */
      readonly outputTokensMax: bigint;
      /** Bindings to count the reservation on: all but the shadow bindings that would have denied the request. */
      readonly bindings: readonly B[];
    })
  | ({ readonly outcome: "deny" } & Excess<B>)
);

const NANO_PER_MICRO = 1_000n;
const PICO_PER_MICRO = 1_000_000n;

/** Decides on a request. Counting the decision's reservation on its bindings exceeds no limit. */
export function decideAdmission<B extends LimitedBinding>(
  request: RequestBounds,
  bindings: readonly B[],
  nowMs: number,
): Decision<B> {
  const { refuseRatherThanLower = false } = request;
  const least = leastOf(request);
  const enforcedLeast = refuseRatherThanLower ? amountsOf(request, request.outputTokensMax) : least;
  const withStates = bindings.map((binding) => ({
    binding,
    states: limitStatesOf(binding.limits, binding.counter, nowMs),
  }));
  const excesses = withStates.flatMap(({ binding, states }) => {
    const worst = longestWait(
      states.flatMap((state) => excessOf(binding, state, binding.shadow ? least : enforcedLeast) ?? []),
    );
    return worst === undefined ? [] : [worst];
  });
  const isDenial = ({ binding, rule }: Excess<B>): boolean =>
    !binding.shadow || (refuseRatherThanLower && BOUNDED_RULES.has(rule));
  const shadowDenials = excesses.filter((excess) => !isDenial(excess));
  const denial = longestWait(excesses.filter(isDenial));
  if (denial !== undefined) return { outcome: "deny", ...denial, shadowDenials };
  const enforced = withStates.flatMap(({ binding, states }) => (binding.shadow ? [] : states));
  const outputTokensMax = grantedOutput(request, enforced);
  const { price, inputTokensMax } = request;
  return {
    outcome: "admit",
    outputTokensMax,
    reservedNano: reservationCost(price, inputTokensMax, outputTokensMax),
    tokens: inputTokensMax + outputTokensMax,
    bindings: bindings.filter((binding) => !shadowDenials.some((excess) => excess.binding === binding)),
    shadowDenials,
  };
}

/** Rules whose amounts depend on the bounds of the request. */
const BOUNDED_RULES: ReadonlySet<LimitRule> = new Set(["budget", "rate_limit.max_tokens"]);

type Least = Readonly<Record<LimitRule, bigint>>;

/** Least amounts that the request can be admitted for: one output token for each choice, or none without output. */
function leastOf(request: RequestBounds): Least {
  const { outputTokensMax, choices } = request;
  return amountsOf(request, outputTokensMax < choices ? outputTokensMax : choices);
}

/** Amounts of the request with so many output tokens. */
function amountsOf({ price, inputTokensMax }: RequestBounds, output: bigint): Least {
  return {
    budget: reservationCost(price, inputTokensMax, output),
    "rate_limit.max_requests": 1n,
    "rate_limit.max_tokens": inputTokensMax + output,
    "rate_limit.max_concurrent": 1n,
  };
}

function excessOf<B extends LimitedBinding>(
  binding: B,
  { rule, limit, remaining, fitsAt }: LimitState,
  least: Least,
): Excess<B> | undefined {
  const needed = least[rule];
  // A request that needs nothing fits even where more is counted than the limit allows.
  if (needed <= remaining) return undefined;
  return { binding, rule, limit, remaining, needed, retryAtMs: fitsAt(needed) };
}

/** Excess that frees last, the first of several. After it all others fit. */
function longestWait<B extends LimitedBinding>(excesses: readonly Excess<B>[]): Excess<B> | undefined {
  const retryAtMs = (excess: Excess<B>): number => excess.retryAtMs ?? Number.POSITIVE_INFINITY;
  return excesses.reduce<Excess<B> | undefined>(
    (longest, excess) => (longest === undefined || retryAtMs(excess) > retryAtMs(longest) ? excess : longest),
    undefined,
  );
}

/** Output bound of the request, or the largest multiple of the choices that fits under every limit. The least fits. */
function grantedOutput(request: RequestBounds, states: readonly LimitState[]): bigint {
  const { outputTokensMax, choices } = request;
  const largest = states
    .map((state) => largestOutput(request, state))
    .reduce((a, b) => (b < a ? b : a), outputTokensMax);
  return largest === outputTokensMax ? largest : largest - (largest % choices);
}

/** Largest number of output tokens that fits under this limit, up to the bound of the request. */
function largestOutput(
  { price, inputTokensMax, outputTokensMax }: RequestBounds,
  { rule, remaining }: LimitState,
): bigint {
  if (rule === "rate_limit.max_tokens") {
    const output = remaining - inputTokensMax;
    return output < outputTokensMax ? output : outputTokensMax;
  }
  if (rule !== "budget" || reservationCost(price, inputTokensMax, outputTokensMax) <= remaining) return outputTokensMax;
  // A reservation is a whole number of micro-USD, so a remaining fraction of one cannot be used. The output price is not 0 here: with a
  // price of 0 the whole bound would have fitted, as the least does.
  const remainingPico = (remaining / NANO_PER_MICRO) * PICO_PER_MICRO;
  const outputPico = remainingPico - (price.requestPicoUsd ?? 0n) - price.inputPicoUsd * inputTokensMax;
  return outputPico / price.outputPicoUsd;
}
