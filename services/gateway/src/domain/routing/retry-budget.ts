/**
 * Budget of the retries of one provider, a token bucket: each request to it adds a tenth of a retry, and each second a tenth of one, so
 * that a quiet gateway can retry too. When everything fails, the calls stay within 1.1 times the requests plus what a full bucket
 * has, so that retries do not keep down an upstream that is overloaded.
 */
export class RetryBudget {
  readonly #clock: () => number;
  /** Tokens in tenths of a retry. */
  #tenths = CAPACITY_TENTHS;
  #refilledAt: number;

  /** @param clock monotonic, in milliseconds */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#refilledAt = clock();
  }

  /** Counts a request to the provider. */
  addRequest(): void {
    if (this.#tenths < CAPACITY_TENTHS) this.#tenths++;
  }

  /** Takes one retry. @returns false if there is none left */
  tryTake(): boolean {
    const secs = Math.floor((this.#clock() - this.#refilledAt) / 1_000);
    this.#refilledAt += secs * 1_000;
    this.#tenths = Math.min(CAPACITY_TENTHS, this.#tenths + secs);
    if (this.#tenths < TENTHS) return false;
    this.#tenths -= TENTHS;
    return true;
  }
}

const TENTHS = 10;
const CAPACITY_TENTHS = 10 * TENTHS;
