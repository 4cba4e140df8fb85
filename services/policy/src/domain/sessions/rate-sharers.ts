import type { Id } from "@routeplane/domain";

/** Number of counters beyond which all are forgotten. */
const MAX_COUNTERS = 20_000;

/**
 * Sessions that have a rate slice of a counter now, as far as this process has granted them. No row says so, because rate slices are over
 * within a second; the number only makes shares fair.
 */
export class RateSharers {
  readonly #untilMs = new Map<string, Map<Id<"gws">, number>>();
  readonly #monotonic: () => number;

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** Number of other sessions that have a slice of the counter. */
  othersOn(counter: string, sessionId: Id<"gws">): number {
    const now = this.#monotonic();
    let others = 0;
    for (const [id, untilMs] of this.#untilMs.get(counter) ?? []) if (id !== sessionId && untilMs > now) others++;
    return others;
  }

  /** Notes a slice that is over after `validMs`. */
  add(counter: string, sessionId: Id<"gws">, validMs: number): void {
    const now = this.#monotonic();
    if (this.#untilMs.size >= MAX_COUNTERS) this.#untilMs.clear();
    const sharers = this.#untilMs.get(counter) ?? new Map<Id<"gws">, number>();
    for (const [id, untilMs] of sharers) if (untilMs <= now) sharers.delete(id);
    sharers.set(sessionId, now + validMs);
    this.#untilMs.set(counter, sharers);
  }
}
