/** Name of the event of `window` by which any part of the app says that a service refused the session. */
const ENDED = "routeplane-session-ended";

/** Says that the session ended: revoked, expired, or its namespace is gone. The page then shows the sign-in and nothing else. */
export function reportSessionEnd(): void {
  window.dispatchEvent(new Event(ENDED));
}

/** Calls back when the session ended. Returns the function that stops it. */
export function onSessionEnd(listener: () => void): () => void {
  window.addEventListener(ENDED, listener);
  return () => window.removeEventListener(ENDED, listener);
}
