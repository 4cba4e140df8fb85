import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  readonly timeoutMs: number;
  /** Cancels the wait, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The time limit starts when this resolves; immediately by default. There is no limit if it rejects. */
  readonly after?: Promise<unknown> | undefined;
}

/**
 * Shortest and longest interval between two checks. Between these bounds it is a part of the time waited, so that a long wait costs little
 * CPU time.
 */
const [MIN_INTERVAL_MS, MAX_INTERVAL_MS] = [25, 100];
const INTERVAL_PART = 1 / 20;

/** Calls `check` until it returns true; false if it did not within the time limit. */
export async function waitUntil(check: () => Promise<boolean> | boolean, options: WaitOptions): Promise<boolean> {
  const { timeoutMs, signal, after } = options;
  const startedAt = performance.now();
  let deadline = after === undefined ? performance.now() + timeoutMs : Infinity;
  void after?.then(
    () => (deadline = performance.now() + timeoutMs),
    () => {},
  );
  for (;;) {
    signal?.throwIfAborted();
    if (await check()) return true;
    if (performance.now() >= deadline) return false;
    const intervalMs = Math.min(
      Math.max((performance.now() - startedAt) * INTERVAL_PART, MIN_INTERVAL_MS),
      MAX_INTERVAL_MS,
    );
    await delay(intervalMs, undefined, signal === undefined ? {} : { signal });
  }
}
