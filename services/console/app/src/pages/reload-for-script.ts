/** Key in the storage of the tab: time of the last reload. */
const STORAGE = "routeplane-reloaded-at";
/** Minimum time between two reloads. Milliseconds. */
const APART_MS = 60_000;
/** Interval between two checks whether the console answers, in milliseconds, and the maximum number of checks. */
const PAUSE_MS = 500;
const MAX_CHECKS = 60;

/**
 * Reloads the page once the console answers, after one of its scripts could not be loaded: the console was restarting, or an update has
 * replaced the script by one with another name. A browser does not ask again for such a script until the page is reloaded.
 *
 * @param signal aborted once the person has left the page that needs the script: then nothing is reloaded
 * @throws Error `fault` if the page was already reloaded within the last minute, or the console does not answer for 30 s
 */
export async function reloadForScript(fault: Error, signal: AbortSignal): Promise<void> {
  if (Date.now() - Number(sessionStorage.getItem(STORAGE)) < APART_MS) throw fault;
  for (let checks = 0; checks < MAX_CHECKS; checks++) {
    const isReady = await isAnswering();
    if (signal.aborted) return;
    if (isReady) {
      sessionStorage.setItem(STORAGE, String(Date.now()));
      return location.reload();
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw fault;
}

async function isAnswering(): Promise<boolean> {
  return fetch(location.pathname, { method: "HEAD" }).then(
    () => true,
    () => false,
  );
}
