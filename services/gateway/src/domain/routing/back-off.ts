/** Longest wait before a request goes to the same model again; a longer one is left to the client. */
export const MAX_WAIT_MS = 2_000;

const FIRST_MS = 200;

/**
 * Wait before a model is called again: the one that the upstream asks for, else up to 200 ms, twice as long for each further time. Between
 * half of it and all of it at random, so that requests which failed together do not come back together.
 *
 * @param failures calls of the model by this request, all of which failed; at least 1
 * @param random from 0 to 1
 */
export function backOffMs(failures: number, retryAfterMs: number | undefined, random: number): number {
  if (retryAfterMs !== undefined) return Math.ceil(retryAfterMs + random * FIRST_MS * Math.min(1, retryAfterMs));
  const most = Math.min(MAX_WAIT_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.ceil((most / 2) * (1 + random));
}
