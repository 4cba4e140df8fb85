import { setTimeout as delay } from "node:timers/promises";
import type { RouteplaneError } from "./error.ts";

/** Attempts at a call, the first included. */
const MAX_ATTEMPTS = 3;
/** Upper bound of the pause before the second attempt; doubled for each further one, and taken at random below it. */
const FIRST_PAUSE_MS = 200;

/** Capacity of a retry budget, and the part of it below which nothing is tried again. */
const BUDGET = 10;
const RETRY_ABOVE = BUDGET / 2;
/** Part that a success gives back: one retry for ten successes, in the long run. */
const GAIN = 0.1;

/**
 * Budget of the retries of one client, as gRPC's retry throttling has it: a failure takes 1 of 10, a success gives 0.1 back, and
 * nothing is tried again while half or less is left. So a node that is down gets few more calls than without retries.
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
  /** True for an error after which the call may be made again. */
  readonly isRetryable: (error: RouteplaneError) => boolean;
  /** Ends the pause between two attempts; its reason is not reported, the error of the last attempt is. */
  readonly signal?: AbortSignal | undefined;
  /** Attempts at the call, the first included. 3 by default. */
  readonly maxAttempts?: number;
}

/**
 * Makes a call, and again after an error that allows it: at most twice more, after growing pauses and within the budget.
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
