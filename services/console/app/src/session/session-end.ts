/** Name of the `window` event by which any part of the app reports that a service refused the session. */
const ENDED = "routeplane-session-ended";

/** Reports that the session ended: it was revoked, expired, or its namespace is gone. The page then shows only the sign-in. */
export function reportSessionEnd(): void {
  window.dispatchEvent(new Event(ENDED));
}

/** Calls `listener` when the session ended. Returns the function that unsubscribes it. */
export function onSessionEnd(listener: () => void): () => void {
  window.addEventListener(ENDED, listener);
  return () => window.removeEventListener(ENDED, listener);
}
