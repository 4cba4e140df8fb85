import { setTimeout as delay } from "node:timers/promises";

const INTERVAL_MS = 20;

/**
 * Calls `read` until its value is neither false nor undefined, and returns it. Errors are retried too.
 *
 * @throws the last error of `read`, or an error that quotes it, when the time limit is over
 */
export async function eventually<T>(
  read: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const result = await attempt(read);
    if ("value" in result && result.value !== false && result.value !== undefined) {
      return result.value as Exclude<T, false | undefined>;
    }
    if (performance.now() >= deadline) {
      throw "error" in result ? result.error : new Error(`did not hold within ${timeoutMs} ms: ${read.toString()}`);
    }
    await delay(INTERVAL_MS);
  }
}

async function attempt<T>(read: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await read() };
  } catch (error) {
    return { error };
  }
}
