/**
 * Local admission on slices: a request takes its bounds from the slices of all counters of its limit set, or from none. No await, no I/O
 * and one object per request; each counter adds some nanoseconds.
 *
 * Life of a reservation: `reserve` takes the bounds; `acknowledgeAdmission` once the log has its admission, after which it is not in doubt;
 * `end` once the request is over, which frees its slots; `settle` once the log has its settlement, which frees the money that it did not
 * use. Until then the log may know only the bound, and a lost process would be charged the bound.
 */
import type { RateSlices } from "./rate-slices.ts";
import type { StandingSlice } from "./standing-slice.ts";

/** Bounds of a request. Whole numbers up to 2^53 - 1. */
export interface SliceBounds {
  readonly nanoUsd: number;
  /** Input and output bound together. */
  readonly tokens: number;
}

/** Counters that a lineage counts on: each of them for every request. */
export interface LimitSetCounters {
  readonly money: readonly StandingSlice[];
  readonly slots: readonly StandingSlice[];
  readonly requests: readonly RateSlices[];
  readonly tokens: readonly RateSlices[];
}

/** Reason why a request does not fit: a slice is too small for it, or fits it once the log has acknowledged others. */
export type Shortage = "slice" | "doubt";

/** Limit set of a session. */
export class LimitSet {
  readonly counters: LimitSetCounters;

  constructor(counters: LimitSetCounters) {
    this.counters = counters;
  }

  /** True if a request with these bounds can be admitted now; else the reason. */
  check({ nanoUsd, tokens }: SliceBounds, nowMs: number): true | Shortage {
    const { counters } = this;
    let isInDoubt = false;
    for (const slice of counters.money) {
      if (slice.fits(nanoUsd)) continue;
      if (nanoUsd > slice.free || nanoUsd > slice.doubtMax) return "slice";
      isInDoubt = true;
    }
    for (const slice of counters.slots) if (!slice.fits(1)) return "slice";
    for (const rate of counters.requests) if (rate.find(1, nowMs) === undefined) return "slice";
    for (const rate of counters.tokens) if (tokens > 0 && rate.find(tokens, nowMs) === undefined) return "slice";
    return isInDoubt ? "doubt" : true;
  }

  /** Takes the bounds from all counters. @returns undefined, and takes nothing, if they do not fit on one of them */
  reserve(bounds: SliceBounds, nowMs: number): SliceReservation | undefined {
    if (this.check(bounds, nowMs) !== true) return undefined;
    const { nanoUsd, tokens } = bounds;
    const { counters } = this;
    for (const slice of counters.money) slice.take(nanoUsd);
    for (const slice of counters.slots) slice.take(1);
    let countedAtMs: number | undefined;
    for (const rate of counters.requests) countedAtMs = earlier(countedAtMs, rate.take(1, nowMs));
    if (tokens > 0) for (const rate of counters.tokens) countedAtMs = earlier(countedAtMs, rate.take(tokens, nowMs));
    return new SliceReservation(counters, bounds, countedAtMs);
  }
}

/** Earlier of two times: with a correction at this time, amounts can count too long, never too short. */
function earlier(a: number | undefined, b: number): number {
  return a === undefined || b < a ? b : a;
}

/** Bounds of one request on the slices of its limit set. Each step of its life has an effect once. */
export class SliceReservation {
  readonly bounds: SliceBounds;
  /** Time at which its rate slices are counted, the earliest of them: milliseconds since the epoch; undefined without one. */
  readonly countedAtMs: number | undefined;
  readonly #counters: LimitSetCounters;
  #isInDoubt = true;
  #hasEnded = false;
  #isSettled = false;

  constructor(counters: LimitSetCounters, bounds: SliceBounds, countedAtMs: number | undefined) {
    this.#counters = counters;
    this.bounds = bounds;
    this.countedAtMs = countedAtMs;
  }

  /** True until the log has acknowledged the admission, or the request was settled. */
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  acknowledgeAdmission(): void {
    if (!this.#isInDoubt) return;
    this.#isInDoubt = false;
    for (const slice of this.#counters.money) slice.acknowledge(this.bounds.nanoUsd);
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const slice of this.#counters.slots) slice.settle(1, 0);
  }

  /** @param usedNanoUsd cost of the request; 0 if it was released */
  settle(usedNanoUsd: number): void {
    if (this.#isSettled) return;
    this.acknowledgeAdmission();
    this.end();
    this.#isSettled = true;
    for (const slice of this.#counters.money) slice.settle(this.bounds.nanoUsd, usedNanoUsd);
  }
}
