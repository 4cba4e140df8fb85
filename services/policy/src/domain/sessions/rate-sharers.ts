import { type Counter, type Ring, subtractFromRing } from "@routeplane/admission";
import type { Id } from "@routeplane/domain";
import type { RateSlice } from "./grants.ts";
import type { RateDimension } from "./session.ts";

/** Number of counters beyond which all are forgotten. */
const MAX_COUNTERS = 20_000;

interface LiveSlice extends Pick<RateSlice, "amount" | "countedAtMs"> {
  readonly untilMs: number;
}

/**
 * Rate slices that this process has granted and that are not over. They are not stored, because they are over within a second. Slices that
 * other processes have granted are not known here: shares are then less fair, and refusals come sooner.
 */
export class RateSharers {
  /** Last slice of each session, by counter. */
  readonly #slices = new Map<string, Map<Id<"gws">, LiveSlice>>();
  readonly #monotonic: () => number;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Number of other sessions that have a slice of the counter. */
  othersOn(bindingId: Id<"bnd">, dimension: RateDimension, sessionId: Id<"gws">): number {
    const now = this.#monotonic();
    let others = 0;
    for (const [id, { untilMs }] of this.#slices.get(nameOf(bindingId, dimension)) ?? [])
      if (id !== sessionId && untilMs > now) others++;
    return others;
  }

  add(bindingId: Id<"bnd">, dimension: RateDimension, sessionId: Id<"gws">, slice: RateSlice): void {
    const now = this.#monotonic();
    if (this.#slices.size >= MAX_COUNTERS) this.#slices.clear();
    const name = nameOf(bindingId, dimension);
    const slices = this.#slices.get(name) ?? new Map<Id<"gws">, LiveSlice>();
    for (const [id, { untilMs }] of slices) if (untilMs <= now) slices.delete(id);
    const { amount, countedAtMs, validMs } = slice;
    slices.set(sessionId, { amount, countedAtMs, untilMs: now + validMs });
    this.#slices.set(name, slices);
  }

  /** Counter as if all rate slices of it that are not over had been returned; the same one if there are none. */
  withoutSlices(bindingId: Id<"bnd">, counter: Counter): Counter {
    const requests = this.#without(bindingId, "requests", counter.requests);
    const tokens = this.#without(bindingId, "tokens", counter.tokens);
    return requests === counter.requests && tokens === counter.tokens ? counter : { ...counter, requests, tokens };
  }

  #without(bindingId: Id<"bnd">, dimension: RateDimension, counted: Ring | undefined): Ring | undefined {
    const now = this.#monotonic();
    let ring = counted;
    for (const { amount, countedAtMs, untilMs } of this.#slices.get(nameOf(bindingId, dimension))?.values() ?? [])
      if (ring !== undefined && untilMs > now) ring = subtractFromRing(ring, amount, countedAtMs);
    return ring;
  }
}

function nameOf(bindingId: Id<"bnd">, dimension: RateDimension): string {
  return `${bindingId} ${dimension}`;
}
