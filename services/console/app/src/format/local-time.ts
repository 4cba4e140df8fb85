import { formatTime } from "./time.ts";

/** Time in a zone as fields of the type `datetime-local` have it, e.g. `2026-11-30T09:31`. */
export function toLocalTime(date: Date, timeZone: string): string {
  return formatTime(date, timeZone).slice(0, 16).replace(" ", "T");
}

/**
 * The moment at which clocks of a zone show a time; undefined for a text that is none. A time that clocks show twice is the
 * second one or the first, and one that they skip is moved by the length of the gap.
 */
export function fromLocalTime(text: string, timeZone: string): Date | undefined {
  const shown = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text) ? Date.parse(`${text}Z`) : NaN;
  if (Number.isNaN(shown)) return undefined;
  const guess = shown - offsetAt(shown, timeZone);
  return new Date(shown - offsetAt(guess, timeZone));
}

/** Milliseconds by which clocks of a zone are before those of UTC. */
function offsetAt(time: number, timeZone: string): number {
  const minute = Math.floor(time / 60_000) * 60_000;
  return Date.parse(`${toLocalTime(new Date(minute), timeZone)}Z`) - minute;
}
