import { setTimeout as delay } from "node:timers/promises";
import type { RouteplaneError } from "./error.ts";

/** Attempts at a call, the first included. */
const MAX_ATTEMPTS = 3;
/** Upper bound of the pause before the second attempt. It doubles for each further attempt; the pause is random below it. */
const FIRST_PAUSE_MS = 200;

/** Capacity of a retry budget, and the level at or below which nothing is retried. */
const BUDGET = 10;
const RETRY_ABOVE = BUDGET / 2;
/** Amount that a success gives back: in the long run, one retry per ten successes. */
const GAIN = 0.1;

/**
 * Retry budget of one client, as in gRPC's retry throttling: a failure takes 1 of 10, a success gives 0.1 back, and nothing is retried
 * while half or less is left. So a node that is down gets few additional calls.
 */
export class RetryBudget {
  #tokens = BUDGET;

  get allowsRetry(): boolean {
    return this.#tokens > RETRY_ABOVE;
  }

  succeeded(): void {
    this.#tokens = Math.min(BUDGET, this.#tokens + GAIN);
  }

  failed(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }
}

export interface RetryOptions {
  readonly budget: RetryBudget;
  /** True for an error after which the call may be retried. */
  readonly isRetryable: (error: RouteplaneError) => boolean;
  /** Ends the pause between two attempts. The error of the last attempt is reported, not the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Maximum number of attempts, the first included. 3 by default. */
  readonly maxAttempts?: number;
}

/**
 * Makes a call, and retries it after a retryable error, at most twice, after growing pauses and within the budget.
 *
 * @param attempt rejects with a RouteplaneError
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { budget, isRetryable, signal, maxAttempts = MAX_ATTEMPTS }: RetryOptions,
): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      const result = await attempt();
      budget.succeeded();
      return result;
    } catch (error) {
      const failure = error as RouteplaneError;
      if (!isRetryable(failure)) throw error;
      budget.failed();
      if (attempts >= maxAttempts || !budget.allowsRetry) throw error;
      await delay(pauseMs(failure, attempts), undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}

function pauseMs({ retryAt }: RouteplaneError, attempts: number): number {
  const random = Math.random() * FIRST_PAUSE_MS * 2 ** (attempts - 1);
  return retryAt === undefined ? random : Math.max(0, retryAt.getTime() - Date.now()) + random;
}
