/** Requests of the size of the last one that a slice is first asked for, beyond those that need it. */
const FIRST_REQUESTS = 4;
/** Time within which a slice of money or slots that was used up is asked for doubled, and after which it is asked for halved. */
const FAST_MS = 1_000;
const SLOW_MS = 5_000;
/** Shortest time of which the use of a rate is taken as steady. */
const STEADY_MS = 100;
/** Share of what a rate slice's life uses that is wanted free. */
const RATE_SHARE = 1.5;
/** Pause after an answer without more, before a slice is asked for ahead of need again. */
const REFUSED_PAUSE_MS = 250;
const MAX_TARGET = 2 ** 50;

/**
 * Appetite of a process for one counter: how much of it is wanted free.
 *
 * Of money and slots it is some requests at first, twice as much whenever that was used up within a second, half as much when it lasted
 * for 5. Of rates it is what the life of a slice uses, and half more: at first twice what was used since the last grant, then by the use
 * of at least 100 ms. (By what was used since the last grant alone, a small slice is used up at once and followed by a small one: 200
 * calls a second at 1,000 requests/s.) Limits that are nearly used up answer with less, and are left alone for a while.
 */
export class Appetite {
  #target = 0;
  #lowAtMs = Number.NEGATIVE_INFINITY;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #usedSinceMs = Number.NEGATIVE_INFINITY;
  #used = 0;
  #usedPerMs = 0;
  /** Free amount below which more is asked for ahead of need. */
  lowWater = 0;

  /** Amount of money or slots that is wanted free, for requests of this size. @param isUsedUp true if less than the low-water mark is free */
  targetFor(amount: number, isUsedUp: boolean, nowMs: number): number {
    const sinceLowMs = nowMs - this.#lowAtMs;
    if (isUsedUp && sinceLowMs < FAST_MS) this.#target *= 2;
    else if (sinceLowMs > SLOW_MS) this.#target /= 2;
    if (isUsedUp || sinceLowMs > SLOW_MS) this.#lowAtMs = nowMs;
    this.#target = Math.min(MAX_TARGET, Math.max(Math.floor(this.#target), amount * FIRST_REQUESTS));
    return this.#target;
  }

  /** Amount of a rate that is wanted free, where `used` was used since this was last called, and a slice lives for `lifeMs`. */
  targetForRate(amount: number, used: number, lifeMs: number, nowMs: number): number {
    const sinceMs = nowMs - this.#usedSinceMs;
    this.#used += used;
    if (sinceMs >= STEADY_MS) {
      this.#usedPerMs = this.#used / sinceMs;
      this.#used = 0;
      this.#usedSinceMs = nowMs;
    }
    const ofLife = Math.ceil(RATE_SHARE * this.#usedPerMs * lifeMs);
    this.#target = Math.min(MAX_TARGET, Math.max(ofLife, 2 * used, amount * FIRST_REQUESTS));
    return this.#target;
  }

  /**
   * Notes what an answer granted beyond need, and what is free after it.
   *
   * @param lowShare share of that below which more is asked for ahead of need
   */
  answered(extra: number, free: number, lowShare: number, nowMs: number): void {
    // What was not granted is not doubled next time.
    this.#target = Math.min(this.#target, free);
    this.lowWater = Math.floor(Math.min(free, this.#target) * lowShare);
    if (extra <= 0) this.pause(nowMs);
  }

  /** Leaves the counter alone for a moment, unless a request needs it. */
  pause(nowMs: number): void {
    this.#pausedUntilMs = nowMs + REFUSED_PAUSE_MS;
  }

  /** True if more should be asked for ahead of need. */
  isLow(free: number, nowMs: number): boolean {
    return free < this.lowWater && !this.isPaused(nowMs);
  }

  isPaused(nowMs: number): boolean {
    return nowMs < this.#pausedUntilMs;
  }
}
