import { useSyncExternalStore } from "react";
import { nodeNow } from "./node-clock.ts";

/** Pause between two looks at the clock. Milliseconds. */
const TICK_MS = 30_000;

/**
 * The present, as far as texts like `5 minutes ago` need it: it moves every 30 seconds, and not while the page is hidden, so that
 * nothing is read for a tab that nobody looks at. By the node's clock, in milliseconds since 1970.
 */
export function useNow(): number {
  return useSyncExternalStore(subscribe, presentTime);
}

let now = nodeNow();

function subscribe(onChange: () => void): () => void {
  const look = (): void => {
    if (document.hidden) return;
    now = nodeNow();
    onChange();
  };
  const timer = setInterval(look, TICK_MS);
  document.addEventListener("visibilitychange", look);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

/** The present as `useNow` has it, outside of a component. */
export function presentTime(): number {
  // A page that is opened after a long time reads the clock anew.
  if (Math.abs(nodeNow() - now) >= TICK_MS && !document.hidden) now = nodeNow();
  return now;
}
