/** Pauses before further attempts to load a page: while the console restarts there is no answer. Milliseconds. */
const PAUSES_MS = [500, 1_000, 2_000, 4_000, 8_000];

/** Loads with further attempts after each failure. @throws the error of the last attempt */
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
