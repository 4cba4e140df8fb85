import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  readonly timeoutMs: number;
  /** Interval between two checks; 25 by default. */
  readonly intervalMs?: number;
  /** Cancels the wait, which then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The time limit starts when this resolves; immediately by default. There is no limit if it rejects. */
  readonly after?: Promise<unknown> | undefined;
}

/** Calls `check` until it returns true; false if it did not within the time limit. */
export async function waitUntil(check: () => Promise<boolean> | boolean, options: WaitOptions): Promise<boolean> {
  const { timeoutMs, intervalMs = 25, signal, after } = options;
  let deadline = after === undefined ? performance.now() + timeoutMs : Infinity;
  void after?.then(
    () => (deadline = performance.now() + timeoutMs),
    () => {},
  );
  for (;;) {
    signal?.throwIfAborted();
    if (await check()) return true;
    if (performance.now() >= deadline) return false;
    await delay(intervalMs, undefined, signal === undefined ? {} : { signal });
  }
}
