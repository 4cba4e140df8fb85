/** Pauses before further attempts to load a page: the console does not answer while it restarts. Milliseconds. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000];

/** Calls `load`, and again after failures. @throws the error of the last attempt */
export async function loadPatiently<T>(load: () => Promise<T>, pausesMs: readonly number[] = PAUSES_MS): Promise<T> {
  const [pauseMs, ...rest] = pausesMs;
  try {
    return await load();
  } catch (error) {
    if (pauseMs === undefined) throw error;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    return loadPatiently(load, rest);
  }
}
