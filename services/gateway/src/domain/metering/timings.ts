/** Durations within one request, in whole milliseconds of the monotonic clock. */
export class Timings {
  /** Monotonic time at which the request was received. */
  readonly #startedAt = performance.now();
  /** Monotonic time at which the upstream was called. */
  #upstreamCalledAt: number | undefined;
  #firstTokenAt: number | undefined;
  #upstreamMs: number | undefined;

  /** Time from receipt of the request to the first output of its stream; undefined if there was none. */
  get firstTokenMs(): number | undefined {
    return this.#firstTokenAt === undefined ? undefined : Math.round(this.#firstTokenAt - this.#startedAt);
  }

  /**
   * Time from the upstream call to the first output of its stream, or to the end of its answer if there was none: the upstream
   * may have worked unseen. 0 without a call.
   */
  get unseenWorkMs(): number {
    if (this.#upstreamCalledAt === undefined) return 0;
    if (this.#firstTokenAt !== undefined) return Math.round(this.#firstTokenAt - this.#upstreamCalledAt);
    return this.#upstreamMs ?? since(this.#upstreamCalledAt);
  }

  /** Time from the upstream call to the end of its answer; undefined before that. */
  get upstreamMs(): number | undefined {
    return this.#upstreamMs;
  }

  /** Times of the running attempt: from receipt of the request to the upstream call, and from that until now. */
  get attempt(): { readonly startedMs: number; readonly durationMs: number } {
    const calledAt = this.#upstreamCalledAt ?? performance.now();
    return { startedMs: Math.round(calledAt - this.#startedAt), durationMs: since(calledAt) };
  }

  /** Marks that an upstream is called. The last mark counts: it is the call whose answer is passed on. */
  markUpstreamCall(): void {
    this.#upstreamCalledAt = performance.now();
  }

  /** Marks that output was passed on. The first mark counts. */
  markOutput(): void {
    this.#firstTokenAt ??= performance.now();
  }

  markAnswerEnd(): void {
    if (this.#upstreamCalledAt !== undefined) this.#upstreamMs = since(this.#upstreamCalledAt);
  }
}

function since(start: number): number {
  return Math.round(performance.now() - start);
}
