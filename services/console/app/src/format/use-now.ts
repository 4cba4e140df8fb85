import { useSyncExternalStore } from "react";

/** Pause between two looks at the clock. Milliseconds. */
const TICK_MS = 30_000;

/**
 * The present, as far as texts like `5 minutes ago` need it: it moves every 30 seconds, and not while the page is hidden, so that
 * nothing is read for a tab that nobody looks at. Milliseconds since 1970.
 */
export function useNow(): number {
  return useSyncExternalStore(subscribe, readNow);
}

let now = Date.now();

function subscribe(onChange: () => void): () => void {
  const look = (): void => {
    if (document.hidden) return;
    now = Date.now();
    onChange();
  };
  const timer = setInterval(look, TICK_MS);
  document.addEventListener("visibilitychange", look);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

function readNow(): number {
  // A page that is opened after a long time reads the clock anew.
  if (Date.now() - now >= TICK_MS && !document.hidden) now = Date.now();
  return now;
}
