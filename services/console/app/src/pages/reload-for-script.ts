/** Key of the time of the last reload, in the storage of the tab. */
const STORAGE = "routeplane-reloaded-at";
/** Minimum time between two reloads. Milliseconds. */
const APART_MS = 60_000;
/** Pause between two questions whether the console answers, and their maximum number. */
const PAUSE_MS = 500;
const MAX_QUESTIONS = 60;

/**
 * Loads the page anew once the console answers, because a script of it could not be loaded: a browser does not load such a script again
 * for the same page. The console was restarting, or an update has replaced the script by one with another name.
 *
 * @param signal aborted once the person has left the page that needs the script: then it is not loaded anew
 * @throws Error `fault` if that does not help: the page was loaded anew within the last minute, or the console does not answer for 30 s
 */
export async function reloadForScript(fault: Error, signal: AbortSignal): Promise<void> {
  if (Date.now() - Number(sessionStorage.getItem(STORAGE)) < APART_MS) throw fault;
  for (let asked = 0; asked < MAX_QUESTIONS; asked++) {
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
