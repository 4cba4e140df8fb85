import { yieldToEventLoop } from "./event-loop.ts";

/** Budget of work that several requests share. */
export interface WorkMeter {
  spend(steps: number): void;
  /** True once the budget is used up. Checked between slices; the work of the request is then exhausted too. */
  readonly isExhausted: boolean;
}

/**
 * Budget of work for judging the texts of one request, in steps of a few nanoseconds. It is counted, not timed, so the verdict does
 * not depend on how busy the machine is. Work is done in slices of about 10 ms; between slices it yields to the event loop.
 */
export class Work {
  readonly #signal: Pick<AbortSignal, "throwIfAborted"> | undefined;
  readonly #meter: WorkMeter | undefined;
  #remaining: number;
  #remainingInSlice = SLICE_STEPS;

  /**
   * @param steps total budget, in steps
   * @param signal signal that aborts the work at the next pause
   * @param meter shared budget, which is charged with every step too
   */
  constructor(steps: number = MAX_STEPS, signal?: Pick<AbortSignal, "throwIfAborted">, meter?: WorkMeter) {
    this.#remaining = meter?.isExhausted === true ? 0 : steps;
    this.#signal = signal;
    this.#meter = meter;
  }

  /** True once the budget is used up. Text that has not been judged must then not pass. */
  get isExhausted(): boolean {
    return this.#remaining <= 0;
  }

  /** True at the end of a slice: call `pause` next. */
  get isPauseDue(): boolean {
    return this.#remainingInSlice <= 0;
  }

  spend(steps: number): void {
    this.#remaining -= steps;
    this.#remainingInSlice -= steps;
    this.#meter?.spend(steps);
  }

  /** Yields to the event loop, and begins a new slice. @throws the reason of the signal once it is aborted */
  async pause(): Promise<void> {
    this.#remainingInSlice = SLICE_STEPS;
    await yieldToEventLoop();
    this.#signal?.throwIfAborted();
    if (this.#meter?.isExhausted === true) this.#remaining = 0;
  }
}

/** Budget of a request: about 2 s. 10 MiB of text take 10 million steps for each group of patterns with few matches. */
export const MAX_STEPS = 400_000_000;
/** Steps of a slice. */
export const SLICE_STEPS = 1_000_000;
