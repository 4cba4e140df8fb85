import { formatTime } from "./time.ts";

/** Time in a zone as the text of a `datetime-local` field, e.g. `2026-11-30T09:31`. */
export function toLocalTime(date: Date, timeZone: string): string {
  return formatTime(date, timeZone).slice(0, 16).replace(" ", "T");
}

/**
 * Moment at which the clocks of a zone show a time; undefined for an invalid text. For a time that the clocks show twice, either moment can
 * be returned; a time that they skip is moved by the length of the gap.
 */
export function fromLocalTime(text: string, timeZone: string): Date | undefined {
  const shown = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text) ? Date.parse(`${text}Z`) : NaN;
  if (Number.isNaN(shown)) return undefined;
  const guess = shown - offsetAt(shown, timeZone);
  return new Date(shown - offsetAt(guess, timeZone));
}

/** Milliseconds by which the clocks of a zone are ahead of UTC. */
function offsetAt(time: number, timeZone: string): number {
  const minute = Math.floor(time / 60_000) * 60_000;
  return Date.parse(`${toLocalTime(new Date(minute), timeZone)}Z`) - minute;
}
