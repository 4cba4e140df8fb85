import { FEED_TIMEOUT_MS } from "../staleness.ts";

export interface SequenceTrackerOptions {
  /** Monotonic clock in milliseconds, e.g. `performance.now`. */
  readonly monotonic: () => number;
  readonly onChange: (subjectId: string) => void;
  /** Called when changes were missed. @param upToDateAt monotonic time at which all changes were known */
  readonly onGap: (upToDateAt: number) => void;
}

/**
 * Sequence numbers of a change feed, and whether all of them were received. They have no gaps and continue over calls and processes of the
 * service, so a call that begins with the last number has missed nothing.
 */
export class SequenceTracker {
  readonly #options: SequenceTrackerOptions;
  #last: bigint | undefined;
  #upToDateAt = -Infinity;

  constructor(options: SequenceTrackerOptions) {
    this.#options = options;
  }

  /** Adds a message of the feed. @param subjectId subject that changed; empty if none did: then `sequence` is the last number */
  add(sequence: bigint, subjectId: string): void {
    const { onChange, onGap, monotonic } = this.#options;
    const next = this.#last === undefined ? undefined : this.#last + 1n;
    const expected = subjectId === "" ? (this.#last ?? sequence) : next;
    this.#last = sequence;
    if (sequence !== expected) onGap(this.#upToDateAt);
    else if (subjectId !== "") onChange(subjectId);
    this.#upToDateAt = monotonic();
  }

  /** True while the feed is live: every change is known, except those of the last moment. */
  isLive(): boolean {
    return this.#options.monotonic() - this.#upToDateAt <= FEED_TIMEOUT_MS;
  }

  /** Monotonic time at which all changes were known; -Infinity before the first message. */
  upToDateAt(): number {
    return this.#upToDateAt;
  }

  /** Sequence number of the last change; 0 before the first message. */
  lastSequence(): bigint {
    return this.#last ?? 0n;
  }
}
