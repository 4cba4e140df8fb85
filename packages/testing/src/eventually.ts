import { setTimeout as delay } from "node:timers/promises";

const INTERVAL_MS = 20;
/** Length of a pause as a part of the time waited, up to 100 ms, so that a long wait costs little CPU time. */
const [INTERVAL_PART, MAX_INTERVAL_MS] = [1 / 20, 100];
/** Longest pause after a slow read. */
const MAX_PAUSE_MS = 1_000;

/**
 * Calls `read` until its value is neither false nor undefined, and returns it. Errors are retried too. A pause is at least as long as the
 * call before it, up to a second, so that an expensive read runs for at most half of the time.
 *
 * @throws the last error of `read`, or an error that quotes it, when the time limit is over
 */
export async function eventually<T>(
  read: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<T, false | undefined>> {
  const startedAt = performance.now();
  const deadline = startedAt + timeoutMs;
  for (;;) {
    const readAt = performance.now();
    const result = await attempt(read);
    if ("value" in result && result.value !== false && result.value !== undefined) {
      return result.value as Exclude<T, false | undefined>;
    }
    if (performance.now() >= deadline) {
      throw "error" in result ? result.error : new Error(`did not hold within ${timeoutMs} ms: ${read.toString()}`);
    }
    await delay(pauseAfter(performance.now(), { startedAt, readAt }));
  }
}

function pauseAfter(now: number, { startedAt, readAt }: Readonly<Record<"startedAt" | "readAt", number>>): number {
  const rising = Math.min((now - startedAt) * INTERVAL_PART, MAX_INTERVAL_MS);
  return Math.max(INTERVAL_MS, rising, Math.min(now - readAt, MAX_PAUSE_MS));
}

async function attempt<T>(read: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error };
  }
}
