import type { Counter, Limits, Reservation } from "./counter.ts";
import { type LimitRule, type LimitState, limitStatesOf } from "./limit-states.ts";
import { requestCost, reservationCost, type TokenPrice } from "./price.ts";

/** What a request may use at most. */
export interface RequestBounds {
  readonly price: TokenPrice;
  readonly inputTokensMax: bigint;
  /** Over all choices; 0 if the request yields no output tokens. */
  readonly outputTokensMax: bigint;
  /** How many choices share the output bound; >= 1. */
  readonly choices: bigint;
}

/** A binding whose limits apply to the request, as they stand. */
export interface LimitedBinding {
  readonly limits: Limits;
  readonly counter: Counter;
  /** Whether it is asked what it would refuse, and refuses nothing. */
  readonly shadow: boolean;
}

/** One maximum that the request does not fit under. */
export interface Excess<B extends LimitedBinding> {
  readonly binding: B;
  readonly rule: LimitRule;
  /** Nano-USD, requests or tokens, as are the next two. */
  readonly limit: bigint;
  readonly remaining: bigint;
  /** The least that the request could be admitted for. */
  readonly needed: bigint;
  /** From when on it fits, if nothing else is admitted; undefined: waiting does not help. */
  readonly retryAtMs: number | undefined;
}

export type Decision<B extends LimitedBinding> = {
  /** What shadow bindings would have refused it for, one for each of them. */
  readonly shadowDenials: readonly Excess<B>[];
} & (
  | (Reservation & {
      readonly outcome: "admit";
      /** As asked for, or lowered to what fits: then a multiple of the choices. */
      readonly outputTokensMax: bigint;
      /** To take it from: all but those that would have refused it, which it uses up as little of as a refused one would. */
      readonly bindings: readonly B[];
    })
  | ({ readonly outcome: "deny" } & Excess<B>)
);

const NANO_PER_MICRO = 1_000n;
const PICO_PER_MICRO = 1_000_000n;

/**
 * Whether a request fits under every limit that applies, and with how many output tokens. Taking `reserveNano`, `tokens` and
 * a slot from each of them keeps every maximum. It is refused only if not even one output token for each choice fits
 * (without output tokens: if the input does not); then for the maximum that it has to wait for longest.
 */
export function decideAdmission<B extends LimitedBinding>(
  request: RequestBounds,
  bindings: readonly B[],
  nowMs: number,
): Decision<B> {
  const least = leastOf(request);
  const metered = bindings.map((binding) => ({
    binding,
    meters: limitStatesOf(binding.limits, binding.counter, nowMs),
  }));
  const excesses = metered.flatMap(({ binding, meters }) => {
    const worst = longestWait(meters.flatMap((meter) => excessOf(binding, meter, least) ?? []));
    return worst === undefined ? [] : [worst];
  });
  const shadowed = excesses.filter(({ binding }) => binding.shadow);
  const refusing = longestWait(excesses.filter(({ binding }) => !binding.shadow));
  if (refusing !== undefined) return { outcome: "deny", ...refusing, shadowDenials: shadowed };
  const enforced = metered.flatMap(({ binding, meters }) => (binding.shadow ? [] : meters));
  const outputTokensMax = grantedOutput(request, enforced);
  const { price, inputTokensMax } = request;
  return {
    outcome: "admit",
    outputTokensMax,
    reservedNano: reservationCost(price, inputTokensMax, outputTokensMax),
    tokens: inputTokensMax + outputTokensMax,
    bindings: bindings.filter((each) => !shadowed.some(({ binding }) => binding === each)),
    shadowDenials: shadowed,
  };
}

type Least = Readonly<Record<LimitRule, bigint>>;

/** What the request takes from each maximum if it gets as little output as it makes sense with. */
function leastOf({ price, inputTokensMax, outputTokensMax, choices }: RequestBounds): Least {
  const output = outputTokensMax < choices ? outputTokensMax : choices;
  return {
    budget: requestCost(price, inputTokensMax, output),
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
  // What is free fits even where more was counted than the limit is.
  if (needed <= remaining) return undefined;
  return { binding, rule, limit, remaining, needed, retryAtMs: fitsAt(needed) };
}

/** The one that frees last: after it, all do. The first of several. */
function longestWait<B extends LimitedBinding>(excesses: readonly Excess<B>[]): Excess<B> | undefined {
  const wait = ({ retryAtMs = Number.POSITIVE_INFINITY }: Excess<B>): number => retryAtMs;
  return excesses.reduce<Excess<B> | undefined>(
    (longest, each) => (longest === undefined || wait(each) > wait(longest) ? each : longest),
    undefined,
  );
}

/** The output bound as asked for, or the largest multiple of the choices that fits under every maximum; the least does. */
function grantedOutput(request: RequestBounds, meters: readonly LimitState[]): bigint {
  const { outputTokensMax, choices } = request;
  const most = meters.map((meter) => mostOutput(request, meter)).reduce((a, b) => (b < a ? b : a), outputTokensMax);
  return most === outputTokensMax ? most : most - (most % choices);
}

/** The most output tokens that this maximum leaves room for, up to what is asked for. */
function mostOutput(
  { price, inputTokensMax, outputTokensMax }: RequestBounds,
  { rule, remaining }: LimitState,
): bigint {
  if (rule === "rate_limit.max_tokens") return lesser(outputTokensMax, remaining - inputTokensMax);
  if (rule !== "budget" || reservationCost(price, inputTokensMax, outputTokensMax) <= remaining) return outputTokensMax;
  // A reservation is a whole number of micro-USD, so a fraction of one that is left buys nothing. The price is not 0: it fits.
  const leftPico = (remaining / NANO_PER_MICRO) * PICO_PER_MICRO;
  const outputPico = leftPico - (price.requestPicoUsd ?? 0n) - price.inputPicoUsd * inputTokensMax;
  return outputPico / price.outputPicoUsd;
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
