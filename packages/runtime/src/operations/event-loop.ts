import { monitorEventLoopDelay } from "node:perf_hooks";

/** Interval of the samples. */
const SAMPLE_MS = 250;
/** Time over which the longest delay counts. */
const WINDOW_MS = 10_000;
/** Delay from which the process counts as hung: every request to it has timed out by then. */
export const HUNG_MS = 5_000;

/** Monitor of the event loop: the longest time in the last 10 s for which one task blocked it. */
export class EventLoopMonitor {
  /** Delays of the last samples with the times at which they were taken. */
  #samples: { readonly at: number; readonly delayMs: number }[] = [];
  #expectedAt = performance.now() + SAMPLE_MS;
  readonly #timer = setInterval(() => this.#sample(), SAMPLE_MS).unref();

  /** Longest delay of the window in milliseconds, including a current one. */
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

/**
 * Interval at which a native timer samples the lag. Each sample wakes the process up: at 10 ms, an idle process took 5 ms of CPU per
 * second.
 */
const LAG_SAMPLE_MS = 100;

/** Lag of the event loop over a time, in seconds: how much later than due a timer was called. */
export type LagSeconds = Readonly<Record<"mean" | "min" | "max" | "stddev" | "p50" | "p90" | "p99", number>>;

/** Samples of the lag of the event loop. */
export class EventLoopLag {
  readonly #intervals = monitorEventLoopDelay({ resolution: LAG_SAMPLE_MS });

  constructor() {
    this.#intervals.enable();
  }

  /** Takes the figures since the last call; undefined if nothing was sampled. */
  take(): LagSeconds | undefined {
    const { count, mean, min, max, stddev } = this.#intervals;
    if (count === 0) return undefined;
    const seconds = (intervalNanos: number): number => Math.max(0, intervalNanos / 1e9 - LAG_SAMPLE_MS / 1e3);
    const percentile = (percent: number): number => seconds(this.#intervals.percentile(percent));
    const [p50, p90, p99] = [percentile(50), percentile(90), percentile(99)];
    this.#intervals.reset();
    return { mean: seconds(mean), min: seconds(min), max: seconds(max), stddev: stddev / 1e9, p50, p90, p99 };
  }
}
