import { setTimeout as delay } from "node:timers/promises";

const INTERVAL_MS = 20;

/**
 * Asks again and again until the answer is neither false nor undefined, and returns it. An error counts as "not yet", and
 * is the one thrown when the time is over.
 */
export async function eventually<T>(
  question: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask(question);
    if ("value" in answer && answer.value !== false && answer.value !== undefined) {
      return answer.value as Exclude<T, false | undefined>;
    }
    if (performance.now() >= deadline) {
      throw "error" in answer ? answer.error : new Error(`did not hold within ${timeoutMs} ms: ${question.toString()}`);
    }
    await delay(INTERVAL_MS);
  }
}

async function ask<T>(question: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await question() };
  } catch (error) {
    return { error };
  }
}
