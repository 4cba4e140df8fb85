/** How long the parts of one request take, by this process's own clock, which never steps back. Whole milliseconds. */
export class Timings {
  readonly #receivedAt = performance.now();
  #calledAt: number | undefined;
  #firstTokenMs: number | undefined;
  #upstreamMs: number | undefined;

  /** From when the request was received until its stream's first piece of output was passed on; undefined: none was. */
  get firstTokenMs(): number | undefined {
    return this.#firstTokenMs;
  }

  /** From when the upstream was called until its answer was over; undefined: it was not called, or its answer is not over. */
  get upstreamMs(): number | undefined {
    return this.#upstreamMs;
  }

  markUpstreamCall(): void {
    this.#calledAt = performance.now();
  }

  /** A piece of output was passed on: the first one counts. */
  markOutput(): void {
    this.#firstTokenMs ??= since(this.#receivedAt);
  }

  markAnswerEnd(): void {
    if (this.#calledAt !== undefined) this.#upstreamMs = since(this.#calledAt);
  }
}

function since(start: number): number {
  return Math.round(performance.now() - start);
}
