/** Interval of the samples. */
const SAMPLE_MS = 250;
/** Time over which the longest delay counts. */
const WINDOW_MS = 10_000;
/** Delay from which on the process is taken for hung: no request of its callers lives that long without an answer. */
export const HUNG_MS = 5_000;

/** Monitor of the event loop: the longest time in the last 10 s for which it did nothing else than one task. */
export class EventLoopMonitor {
  /** Delays of the last samples with the times at which they were taken. */
  #samples: { readonly at: number; readonly delayMs: number }[] = [];
  #expectedAt = performance.now() + SAMPLE_MS;
  readonly #timer = setInterval(() => this.#sample(), SAMPLE_MS).unref();

  /** Longest delay of the window in milliseconds, with the one that goes on now. */
  longestDelayMs(): number {
    const now = performance.now();
    const current = Math.max(0, now - this.#expectedAt);
    const recent = this.#samples.filter(({ at }) => now - at <= WINDOW_MS);
    return Math.max(current, ...recent.map(({ delayMs }) => delayMs));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const now = performance.now();
    this.#samples = this.#samples.filter(({ at }) => now - at <= WINDOW_MS);
    this.#samples.push({ at: now, delayMs: Math.max(0, now - this.#expectedAt) });
    this.#expectedAt = now + SAMPLE_MS;
  }
}
