export interface SequenceTrackerOptions {
  /** Milliseconds, as `performance.now`. */
  readonly monotonic: () => number;
  readonly onChange: (subjectId: string) => void;
  /** Changes were missed since everything was last known, which was then. */
  readonly onGap: (knownAt: number) => void;
}

/** A service with a feed speaks every second. After this nothing is known any more. */
export const FEED_TIMEOUT_MS = 2_500;

/**
 * Tells by the numbers of changes whether all are known. They go on from call to call and from one process of the service
 * to the next, so that who begins with the number that it ended with has missed nothing.
 */
export class SequenceTracker {
  readonly #options: SequenceTrackerOptions;
  #last: bigint | undefined;
  #knownAt = -Infinity;

  constructor(options: SequenceTrackerOptions) {
    this.#options = options;
  }

  /** @param subjectId what changed; empty: nothing did, this is the last number */
  take(sequence: bigint, subjectId: string): void {
    const { onChange, onGap, monotonic } = this.#options;
    const next = this.#last === undefined ? undefined : this.#last + 1n;
    const expected = subjectId === "" ? (this.#last ?? sequence) : next;
    this.#last = sequence;
    if (sequence !== expected) onGap(this.#knownAt);
    else if (subjectId !== "") onChange(subjectId);
    this.#knownAt = monotonic();
  }

  /** Whether every change is known, but for those of the last moment. */
  isLive(): boolean {
    return this.#options.monotonic() - this.#knownAt <= FEED_TIMEOUT_MS;
  }

  /** When everything was last known, by the monotonic clock; before that, long ago. */
  upToDateAt(): number {
    return this.#knownAt;
  }

  /** Number of the last change that is known; 0 before any is. */
  lastSequence(): bigint {
    return this.#last ?? 0n;
  }
}
