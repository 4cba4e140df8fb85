/** Durations within one request, in whole milliseconds of the monotonic clock. */
export class Timings {
  /** Monotonic time at which the request was received. */
  readonly #startedAt = performance.now();
  /** Monotonic time at which the upstream was called. */
  #upstreamCalledAt: number | undefined;
  #firstTokenMs: number | undefined;
  #upstreamMs: number | undefined;

  /** Time from receipt of the request to the first output of its stream; undefined if there was none. */
  get firstTokenMs(): number | undefined {
    return this.#firstTokenMs;
  }

  /** Time from the upstream call to the end of its answer; undefined before that. */
  get upstreamMs(): number | undefined {
    return this.#upstreamMs;
  }

  markUpstreamCall(): void {
    this.#upstreamCalledAt = performance.now();
  }

  /** Marks that output was passed on. The first mark counts. */
  markOutput(): void {
    this.#firstTokenMs ??= since(this.#startedAt);
  }

  markAnswerEnd(): void {
    if (this.#upstreamCalledAt !== undefined) this.#upstreamMs = since(this.#upstreamCalledAt);
  }
}

function since(start: number): number {
  return Math.round(performance.now() - start);
}
