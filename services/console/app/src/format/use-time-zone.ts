import { useSyncExternalStore } from "react";

const STORAGE = "routeplane-time-zone";
const CHANGED = "routeplane-time-zone-changed";

/** Time zone in which the app shows times and cuts days: the browser's, unless the person chose another one in this browser. */
export function useTimeZone(): readonly [string, (timeZone: string) => void] {
  return [useSyncExternalStore(subscribe, currentTimeZone), writeTimeZone];
}

function subscribe(onChange: () => void): () => void {
  window.addEventListener(CHANGED, onChange);
  return () => window.removeEventListener(CHANGED, onChange);
}

/** Choice as it was last read: reading storage again for each time in a table would be slow. */
let current: string | undefined;

/** Time zone as `useTimeZone` returns it, for use outside of a component. */
export function currentTimeZone(): string {
  return (current ??= readTimeZone());
}

function readTimeZone(): string {
  const stored = localStorage.getItem(STORAGE);
  return stored !== null && Intl.supportedValuesOf("timeZone").includes(stored) ? stored : browserTimeZone();
}

export function browserTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function writeTimeZone(timeZone: string): void {
  localStorage.setItem(STORAGE, timeZone);
  current = undefined;
  window.dispatchEvent(new Event(CHANGED));
}
