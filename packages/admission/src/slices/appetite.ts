/** Requests of the size of the last one that a slice is first asked for, beyond those that need it. */
const FIRST_REQUESTS = 4;
/** Time within which a slice that was used up is asked for doubled, and after which it is asked for halved. */
const FAST_MS = 1_000;
const SLOW_MS = 5_000;
/** Pause after an answer without more, before a slice is asked for ahead of need again. */
const REFUSED_PAUSE_MS = 250;
const MAX_TARGET = 2 ** 50;

/**
 * Appetite of a process for one counter: how much of it is wanted free. Of money and slots it is some requests at first, twice as much whenever that was used up within a
 * second, half as much when it lasted for 5; of rates, twice what was used since the last grant. Limits that are nearly used up answer with less, and are left alone for a while.
 */
export class Appetite {
  #target = 0;
  #grantedAtMs = Number.NEGATIVE_INFINITY;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** Free amount below which more is asked for ahead of need. */
  lowWater = 0;

  /** Amount that is wanted free, for requests of this size. Called when a slice is asked for. */
  targetFor(amount: number, nowMs: number): number {
    const sinceGrantMs = nowMs - this.#grantedAtMs;
    if (sinceGrantMs < FAST_MS) this.#target *= 2;
    else if (sinceGrantMs > SLOW_MS) this.#target /= 2;
    this.#target = Math.min(MAX_TARGET, Math.max(Math.floor(this.#target), amount * FIRST_REQUESTS));
    return this.#target;
  }

  /** Amount of a rate that is wanted free, where `used` was used since it was last asked for. */
  targetForRate(amount: number, used: number): number {
    this.#target = Math.min(MAX_TARGET, Math.max(2 * used, amount * FIRST_REQUESTS));
    return this.#target;
  }

  /** Notes what an answer granted beyond need, and what is free after it. */
  answered(extra: number, free: number, nowMs: number): void {
    this.#grantedAtMs = nowMs;
    // What was not granted is not doubled next time.
    this.#target = Math.min(this.#target, free);
    this.lowWater = Math.floor(Math.min(free, this.#target) / 2);
    if (extra <= 0) this.pause(nowMs);
  }

  /** Leaves the counter alone for a moment, unless a request needs it. */
  pause(nowMs: number): void {
    this.#pausedUntilMs = nowMs + REFUSED_PAUSE_MS;
  }

  /** True if more should be asked for ahead of need. */
  isLow(free: number, nowMs: number): boolean {
    return free < this.lowWater && nowMs >= this.#pausedUntilMs;
  }
}
