import { RateSlices, type SliceBounds, StandingSlice } from "@routeplane/admission";
import type { CounterGrant, CounterRequest, SliceGrant } from "../ports/gateway-sessions.ts";
import type { HeldCounter } from "./gateway-session.ts";

/** Share of a slice that may be in doubt. */
const DOUBT_SHARE = 8;
/** Multiple of what is wanted from which on the free part of a slice is returned. */
const SURPLUS = 4;

/** Time before the end of a rate slice at which another one is asked for: a fifth of its life, at most this. */
const RATE_LEAD_MS = 100;
const RATE_LEAD_PARTS = 5;

/**
 * Factor by which a known life of rate slices shrinks with each grant of a shorter one. A slice ends with a bucket, so that one for the rest of a
 * bucket says nothing about the life of the next one: at 1/2 a window of 10 s with 800 requests a second took 20 calls a second, and
 * 10 % of the requests waited for one; at this it takes 11, and 0.6 % wait.
 */
const LIFE_DECAY = 0.9;

/** Share of what is free after an answer below which more is asked for. */
const LOW_SHARE = 1 / 4;

/** True if more of the counter should be asked for ahead of need. */
export function isRunningLow({ slice, appetite }: HeldCounter, nowMs: number): boolean {
  if (slice instanceof StandingSlice) return appetite.isLow(slice.free, nowMs);
  if (appetite.isPaused(nowMs)) return false;
  return slice.freeAt(nowMs) < appetite.lowWater || slice.freeAt(nowMs + leadOf(slice)) === 0;
}

function leadOf({ lifeMs }: RateSlices): number {
  return Math.min(RATE_LEAD_MS, lifeMs / RATE_LEAD_PARTS);
}

/** Amount that requests need of a counter now, and the size of the largest of them. */
export interface Need {
  readonly needed: number;
  readonly perRequest: number;
}

export const NO_NEED: Need = { needed: 0, perRequest: 0 };

/** Needs of requests on a counter of each dimension. */
export function needOf({ slice }: HeldCounter, requests: readonly SliceBounds[]): Need {
  const amountOf = ({ nanoUsd, tokens }: SliceBounds): number => {
    if (slice.dimension === "money") return nanoUsd;
    return slice.dimension === "tokens" ? tokens : 1;
  };
  const amounts = requests.map(amountOf);
  return { needed: amounts.reduce((sum, amount) => sum + amount, 0), perRequest: Math.max(0, ...amounts) };
}

/**
 * Creates the request for one counter. The needs of requests that wait are asked for beyond what is free, so that each of them fits
 * once everything needed is granted.
 */
export function toCounterRequest(counter: HeldCounter, { needed, perRequest }: Need, nowMs: number): CounterRequest {
  const { slice, appetite } = counter;
  const isRecalled = nowMs < counter.recalledUntilMs;
  if (slice instanceof RateSlices) {
    const target = perRequest > 0 ? appetite.targetForRate(perRequest, slice.takeUsed(), slice.lifeMs, nowMs) : 0;
    slice.expire(nowMs);
    const free = slice.freeAt(nowMs);
    // A request takes from one slice alone, so that what is left of the present one does not help all that wait.
    const wanted = isRecalled ? 0 : Math.max(0, target - slice.freeAt(nowMs + leadOf(slice)));
    const amounts = { granted: 0, returned: 0, doubt: 0, needed, wanted, free };
    return { bindingId: slice.bindingId, dimension: slice.dimension, ...amounts, unused: slice.takeUnused() };
  }
  const isUsedUp = needed > slice.free || slice.free < appetite.lowWater;
  const target = perRequest > 0 ? appetite.targetFor(perRequest, isUsedUp, nowMs) : 0;
  if (perRequest > 0 && slice.free > target * SURPLUS)
    counter.hasReturns ||= slice.giveBack(slice.free - target * 2) > 0;
  const lacking = Math.max(0, needed - slice.free);
  const free = Math.max(0, slice.free - needed);
  const wanted = isRecalled ? 0 : Math.max(0, target - free);
  const ofSlice = Math.ceil((slice.free + slice.running + lacking + wanted) / DOUBT_SHARE);
  const doubt = slice.dimension === "money" ? Math.max(needed, perRequest > 0 ? ofSlice : 0, slice.doubtMax) : 0;
  const { bindingId, dimension, granted, returned } = slice;
  return { bindingId, dimension, granted, returned, needed: lacking, wanted, free, doubt, unused: [] };
}

/** Applies an answer to the counters of its request. @param sentAtMs time before the call was sent */
export function applyGrant(
  counters: readonly HeldCounter[],
  requests: readonly CounterRequest[],
  { counters: grants }: SliceGrant,
  sentAtMs: number,
  nowMs: number,
): void {
  for (const [index, counter] of counters.entries()) {
    const [request, grant] = [requests[index], grants[index]];
    if (request !== undefined && grant !== undefined) applyCounterGrant(counter, request, grant, sentAtMs, nowMs);
  }
}

function applyCounterGrant(
  { slice, appetite }: HeldCounter,
  { needed, wanted, free }: CounterRequest,
  grant: CounterGrant,
  sentAtMs: number,
  nowMs: number,
): void {
  let extra: number;
  if (slice instanceof StandingSlice) {
    const before = slice.granted;
    slice.grant(grant.granted, grant.doubt);
    slice.remaining = grant.remaining;
    extra = slice.granted - before - needed;
  } else {
    const { rate, remaining, resetsAtMs } = grant;
    slice.state = { remaining, resetsAtMs: resetsAtMs ?? 0 };
    if (rate !== undefined) {
      const { amount, countedAtMs, validMs } = rate;
      slice.grant({ amount, countedAtMs, endsAtMs: sentAtMs + validMs });
      slice.lifeMs = Math.max(validMs, slice.lifeMs * LIFE_DECAY);
    }
    extra = (rate?.amount ?? 0) - needed;
  }
  if (wanted === 0) return;
  if (slice instanceof RateSlices) appetite.answered(extra, Math.max(0, extra), LOW_SHARE, nowMs);
  else appetite.answered(extra, free + Math.max(0, extra), LOW_SHARE, nowMs);
}
