import { yieldToEventLoop } from "./event-loop.ts";

/** A budget that the work of several requests shares. */
export interface WorkMeter {
  spend(steps: number): void;
  /** True once the budget is used up. Checked between slices; the work then counts as used up too. */
  readonly isExhausted: boolean;
}

/**
 * The effort that judging the texts of one request may take, in steps of some nanoseconds. It is counted, not timed, so that
 * it does not depend on how busy the machine is. A slice is at most some 10 ms; between slices everybody else has a turn.
 */
export class Work {
  readonly #signal: AbortSignal | undefined;
  readonly #meter: WorkMeter | undefined;
  #left: number;
  #untilPause = SLICE_STEPS;

  /**
   * @param signal stops the work once it is aborted
   * @param meter told of every step
   */
  constructor(steps: number = MAX_STEPS, signal?: AbortSignal, meter?: WorkMeter) {
    this.#left = meter?.isExhausted === true ? 0 : steps;
    this.#signal = signal;
    this.#meter = meter;
  }

  /** Whether all is used up: what is not judged by then must not pass. */
  get isExhausted(): boolean {
    return this.#left <= 0;
  }

  get isPauseDue(): boolean {
    return this.#untilPause <= 0;
  }

  spend(steps: number): void {
    this.#left -= steps;
    this.#untilPause -= steps;
    this.#meter?.spend(steps);
  }

  /** Lets everybody else have a turn. @throws the reason of the signal once it is aborted */
  async pause(): Promise<void> {
    this.#untilPause = SLICE_STEPS;
    await yieldToEventLoop();
    this.#signal?.throwIfAborted();
    if (this.#meter?.isExhausted === true) this.#left = 0;
  }
}

/** Some 2 s in all. 10 MiB of text take 10 million steps for each automaton where nothing much matches. */
export const MAX_STEPS = 400_000_000;
export const SLICE_STEPS = 1_000_000;
