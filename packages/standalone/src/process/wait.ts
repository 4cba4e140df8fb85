import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  readonly timeoutMs: number;
  /** 25 by default. */
  readonly intervalMs?: number;
  /** Gives up, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The time limit starts when this resolves; immediately by default. There is no limit if it rejects. */
  readonly after?: Promise<unknown> | undefined;
}

/** Asks `check` again and again until it says yes: true then, or false once the time is over. */
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
