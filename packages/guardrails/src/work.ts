import { setImmediate } from "node:timers/promises";

/**
 * The effort that judging the texts of one request may take, in steps of some nanoseconds. It is counted, not timed, so that
 * it does not depend on how busy the machine is. A slice is at most some 10 ms; between slices everybody else has a turn.
 */
export class Work {
  readonly #signal: AbortSignal | undefined;
  #left: number;
  #untilPause = SLICE_STEPS;

  /** @param signal stops the work once it is aborted */
  constructor(steps: number = MAX_STEPS, signal?: AbortSignal) {
    this.#left = steps;
    this.#signal = signal;
  }

  /** Whether all is used up: what is not judged by then must not pass. */
  get exhausted(): boolean {
    return this.#left <= 0;
  }

  get pauseDue(): boolean {
    return this.#untilPause <= 0;
  }

  spend(steps: number): void {
    this.#left -= steps;
    this.#untilPause -= steps;
  }

  /** Lets everybody else have a turn. @throws the reason of the signal once it is aborted */
  async pause(): Promise<void> {
    this.#untilPause = SLICE_STEPS;
    await setImmediate();
    this.#signal?.throwIfAborted();
  }
}

/** Some 2 s in all. 10 MiB of text take 10 million steps for each automaton where nothing much matches. */
export const MAX_STEPS = 400_000_000;
export const SLICE_STEPS = 1_000_000;
