/**
 * Grants of slices: the decision on one request of a gateway session, as a pure function of the locked counters.
 *
 * 1. Take back what the session returns: sums of money and slots, and unused rate slices.
 * 2. Grant nothing if a counter is gone, if the session does not know of a grant (its answer was lost), or if what is needed does not fit
 *    on all counters.
 * 3. Otherwise grant what is needed, and a fair share of what is wanted beyond it: a quarter of the headroom divided by the sessions on the
 *    counter, and at most so much that all of them together have a 32nd of the limit free.
 *
 * Shares round down, so that of the last units only what is needed is granted. A rate slice lasts for one bucket of its window, at most a
 * second, and is counted at its end, whenever it is used.
 */
import {
  addToRing,
  type Counter,
  type Limits,
  type LimitRule,
  limitStatesOf,
  rateBucketMs,
  resizeCounter,
  subtractFromRing,
} from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import { isBudgetCentral, isRateLimitCentral } from "./central-limits.ts";
import type { RateDimension, SliceDimension } from "./session.ts";
import { mergeSums, NO_SLICE, reservedBySlice, type Slice } from "./slice.ts";

/** Amounts that one counter of a binding counts: money in nano-USD, requests, tokens, slots. */
export type Dimension = SliceDimension | RateDimension;

/** Request for a slice of one counter. */
export interface CounterRequest extends Pick<Slice, "granted" | "returned" | "doubt"> {
  readonly bindingId: Id<"bnd">;
  readonly dimension: Dimension;
  readonly needed: bigint;
  /** Wanted beyond what is needed. */
  readonly wanted: bigint;
  /** Free part of the slice, without what is needed. */
  readonly free: bigint;
  /** Unused parts of rate slices, with the moments at which those are counted. */
  readonly rateReturns: readonly { readonly amount: bigint; readonly countedAtMs: number }[];
}

/** Answer to a request for a slice. */
export interface CounterGrant extends Pick<Slice, "granted" | "returned" | "doubt"> {
  readonly gone: boolean;
  readonly rate: RateSlice | undefined;
  readonly remaining: bigint;
  readonly resetsAtMs: number | undefined;
}

export interface RateSlice {
  readonly amount: bigint;
  readonly countedAtMs: number;
  readonly validMs: number;
}

/** Locked state that requests of a session are decided on, and that decisions change. */
export interface GrantState {
  readonly nowMs: number;
  readonly counters: Map<Id<"bnd">, Counter>;
  /** Limits of enabled policies. */
  readonly limits: ReadonlyMap<Id<"bnd">, Limits>;
  /** Slices of the session, by binding and dimension. */
  readonly slices: SliceMap;
  /** Number of other sessions that have a slice of the counter. */
  readonly othersOn: (bindingId: Id<"bnd">, dimension: Dimension) => number;
}

/** Slices by the key of `sliceName`. */
export type SliceMap = Map<
  string,
  { readonly bindingId: Id<"bnd">; readonly dimension: SliceDimension; readonly slice: Slice }
>;

export function sliceName(bindingId: Id<"bnd">, dimension: SliceDimension): string {
  return `${bindingId} ${dimension}`;
}

const RULES: Readonly<Record<Dimension, LimitRule>> = {
  money: "budget",
  requests: "rate_limit.max_requests",
  tokens: "rate_limit.max_tokens",
  concurrent: "rate_limit.max_concurrent",
};

/** Part of the headroom that one session is granted beyond its need: 1 / (4 x sessions). */
const HEADROOM_PARTS = 4n;
/** Part of the limit that all sessions together have free beyond their need: 1 / 32. */
const FREE_PARTS = 32n;
/** Longest life of a rate slice. */
const MAX_RATE_SLICE_MS = 1_000;
/** Part of a bucket that is too short for a slice: 1 / 4. Gateways ask again a fifth of a slice's life before its end. */
const SHORT_PARTS = 4;
/** Largest sum of grants: gateways count in JavaScript numbers. */
const MAX_SUM = BigInt(Number.MAX_SAFE_INTEGER);

/** Decides on the counters of one request, and changes the state accordingly. */
export function grantSlices(
  state: GrantState,
  requests: readonly CounterRequest[],
): { readonly granted: boolean; readonly counters: readonly CounterGrant[] } {
  const isMissed = requests.some((each) => isAnswerMissed(state, each));
  for (const each of requests) takeBack(state, each);
  const standing = requests.map((each) => standingOf(state, each));
  const fits = standing.every((each) => each !== undefined && each.needed <= each.grantable);
  const granted = fits && !isMissed;
  return {
    granted,
    counters: requests.map((each, index) => {
      const on = standing[index];
      return toGrant(state, each, granted && on !== undefined ? on.needed + extraOf(state, each, on) : undefined);
    }),
  };
}

function sliceOf({ slices }: GrantState, { bindingId, dimension }: CounterRequest): Slice | undefined {
  return isRate(dimension) ? undefined : (slices.get(sliceName(bindingId, dimension))?.slice ?? NO_SLICE);
}

export function isRate(dimension: Dimension): dimension is RateDimension {
  return dimension === "requests" || dimension === "tokens";
}

function isAnswerMissed(state: GrantState, request: CounterRequest): boolean {
  return (sliceOf(state, request)?.granted ?? 0n) > request.granted;
}

function takeBack(state: GrantState, request: CounterRequest): void {
  const { bindingId, dimension } = request;
  const counter = state.counters.get(bindingId);
  if (counter === undefined) return;
  if (!isRate(dimension)) return setSlice(state, request, mergeSums(sliceOf(state, request) ?? NO_SLICE, request));
  const ring = request.rateReturns.reduce(
    (current, { amount, countedAtMs }) => current && subtractFromRing(current, amount, countedAtMs),
    counter[dimension],
  );
  state.counters.set(bindingId, { ...counter, [dimension]: ring });
}

/** Stores a slice, and counts its change as reserved. */
function setSlice(state: GrantState, { bindingId, dimension }: CounterRequest, slice: Slice): void {
  const counter = state.counters.get(bindingId);
  if (counter === undefined || isRate(dimension)) return;
  const name = sliceName(bindingId, dimension);
  const before = state.slices.get(name)?.slice;
  if (before === undefined && slice.granted === 0n) return;
  state.slices.set(name, { bindingId, dimension, slice });
  const more = reservedBySlice(slice) - reservedBySlice(before ?? NO_SLICE);
  state.counters.set(
    bindingId,
    dimension === "money"
      ? { ...counter, reservedNano: counter.reservedNano + more }
      : { ...counter, openReservations: counter.openReservations + more },
  );
}

interface Standing {
  readonly needed: bigint;
  readonly limit: bigint;
  readonly remaining: bigint;
  /** Maximum amount that may be granted. */
  readonly grantable: bigint;
}

/** State of the limit that the counter counts for; undefined if there is none any more, or no slices of it are granted. */
function limitStateOf({ counters, limits, nowMs }: GrantState, { bindingId, dimension }: CounterRequest) {
  const [counter, ofBinding] = [counters.get(bindingId), limits.get(bindingId)];
  if (counter === undefined || ofBinding === undefined) return undefined;
  const { budget, rateLimit } = ofBinding;
  const isCentral =
    dimension === "money" ? budget && isBudgetCentral(budget) : rateLimit && isRateLimitCentral(rateLimit);
  if (isCentral !== false) return undefined;
  return limitStatesOf(ofBinding, counter, nowMs).find(({ rule }) => rule === RULES[dimension]);
}

function standingOf(state: GrantState, request: CounterRequest): Standing | undefined {
  const limitState = limitStateOf(state, request);
  if (limitState === undefined) return undefined;
  const { limit, remaining } = limitState;
  const slice = sliceOf(state, request);
  const untilMax = MAX_SUM - (slice?.granted ?? 0n);
  // Amounts of 0 fit also where more is counted than the limit allows.
  return { needed: request.needed, limit, remaining, grantable: remaining < untilMax ? remaining : untilMax };
}

/** Fair amount beyond the need. */
function extraOf(
  state: GrantState,
  request: CounterRequest,
  { needed, limit, remaining, grantable }: Standing,
): bigint {
  const sessions = 1n + BigInt(state.othersOn(request.bindingId, request.dimension));
  const bounds = [
    (remaining - needed) / (HEADROOM_PARTS * sessions),
    limit / (FREE_PARTS * sessions) - request.free,
    grantable - needed,
  ];
  const extra = bounds.reduce((least, bound) => (bound < least ? bound : least), request.wanted);
  return extra > 0n ? extra : 0n;
}

/** Counts a granted amount on the counter, and answers with the state after it. @param amount undefined if nothing is granted */
function toGrant(state: GrantState, request: CounterRequest, amount: bigint | undefined): CounterGrant {
  const isCounted = amount !== undefined && (amount > 0n || hasNoRing(state, request));
  const rate = isCounted ? count(state, request, amount) : undefined;
  const { granted, returned, doubt } = sliceOf(state, request) ?? NO_SLICE;
  const after = limitStateOf(state, request);
  const { remaining = 0n, resetsAtMs } = after ?? {};
  return { gone: after === undefined, granted, returned, doubt, rate, remaining, resetsAtMs };
}

/** True if nothing was ever counted: a charge of a request whose bound is 0 would find no window to count in. */
function hasNoRing({ counters }: GrantState, { bindingId, dimension }: CounterRequest): boolean {
  const counter = counters.get(bindingId);
  return dimension !== "concurrent" && counter?.[dimension === "money" ? "spend" : dimension] === undefined;
}

/**
 * Life of a rate slice that is granted now. It ends with the present bucket, so that it counts no longer than an admission of this service; or
 * with the next one, if the present one is nearly over.
 */
function rateSliceLife(bucketMs: number, nowMs: number): number {
  const untilEndMs = bucketMs - (nowMs % bucketMs) - 1;
  return Math.min(untilEndMs < bucketMs / SHORT_PARTS ? untilEndMs + bucketMs : untilEndMs, MAX_RATE_SLICE_MS);
}

function count(state: GrantState, request: CounterRequest, amount: bigint): RateSlice | undefined {
  const { nowMs, counters, limits } = state;
  const { bindingId, dimension } = request;
  const [stored, ofBinding] = [counters.get(bindingId), limits.get(bindingId)];
  if (stored === undefined || ofBinding === undefined) return undefined;
  const counter = resizeCounter(stored, ofBinding, nowMs);
  counters.set(bindingId, counter);
  const slice = sliceOf(state, request);
  if (slice !== undefined) {
    const doubt = slice.doubt > request.doubt ? slice.doubt : request.doubt;
    setSlice(state, request, { ...slice, granted: slice.granted + amount, doubt });
  }
  if (!isRate(dimension) || amount === 0n) return undefined;
  const validMs = rateSliceLife(rateBucketMs(ofBinding.rateLimit?.windowSecs ?? 0), nowMs);
  const countedAtMs = nowMs + validMs;
  const ring = counter[dimension];
  counters.set(bindingId, { ...counter, [dimension]: ring && addToRing(ring, amount, countedAtMs, nowMs) });
  return { amount, countedAtMs, validMs };
}
