import { useSyncExternalStore } from "react";

/** Pause between two looks at the clock. Milliseconds. */
const TICK_MS = 30_000;

/** The present, as far as texts like `5 minutes ago` need it: it moves every 30 seconds. Milliseconds since 1970. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, readNow);
}

let now = Date.now();

function subscribe(onChange: () => void): () => void {
  const timer = setInterval(() => {
    now = Date.now();
    onChange();
  }, TICK_MS);
  return () => clearInterval(timer);
}

function readNow(): number {
  // A page that is opened after a long time reads the clock anew.
  if (Date.now() - now >= TICK_MS) now = Date.now();
  return now;
}
