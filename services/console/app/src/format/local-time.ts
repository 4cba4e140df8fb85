import { formatTime } from "./time.ts";

const DAY_MS = 86_400_000;

/** Time in a zone as the text of a `datetime-local` field, e.g. `2026-11-30T09:31`. */
export function toLocalTime(date: Date, timeZone: string): string {
  return formatTime(date, timeZone).slice(0, 16).replace(" ", "T");
}

/**
 * Moment at which the clocks of a zone show a time; undefined for an invalid text, and for a year before 1000, which a field gives while the
 * year is typed. For a time that the clocks show twice it is the first moment; a time that they skip is moved back by the length of the gap.
 */
export function fromLocalTime(text: string, timeZone: string): Date | undefined {
  const shown = /^[1-9]\d{3}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text) ? Date.parse(`${text}Z`) : NaN;
  if (Number.isNaN(shown)) return undefined;
  // Offsets before and after a possible change of the clocks: the time is right with one of them, unless the clocks skip it.
  const first = shown - offsetAt(shown - DAY_MS, timeZone);
  const second = shown - offsetAt(shown + DAY_MS, timeZone);
  return new Date(first + offsetAt(first, timeZone) === shown ? first : second);
}

/** Milliseconds by which the clocks of a zone are ahead of UTC. */
function offsetAt(time: number, timeZone: string): number {
  const minute = Math.floor(time / 60_000) * 60_000;
  return Date.parse(`${toLocalTime(new Date(minute), timeZone)}Z`) - minute;
}
