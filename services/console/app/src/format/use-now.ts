import { useSyncExternalStore } from "react";
import { nodeNow } from "./node-clock.ts";

/** Interval at which the clock is read. Milliseconds. */
const TICK_MS = 30_000;

/**
 * Current time for texts like `5 minutes ago`, by the node's clock, in milliseconds since 1970. It is updated every 30 seconds, but not
 * while the page is hidden, so that a hidden tab reads nothing.
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

/** Current time as `useNow` returns it, for use outside of a component. */
export function presentTime(): number {
  // The clock is read again if nothing has read it for a long time.
  if (Math.abs(nodeNow() - now) >= TICK_MS && !document.hidden) now = nodeNow();
  return now;
}
