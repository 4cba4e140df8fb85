/**
 * Reads the text of a `datetime-local` input, e.g. `2026-11-30T09:30`, as a time on the clocks of a time zone; undefined for an invalid
 * text.
 */
export function fromZonedTime(text: string, timeZone: string): Date | undefined {
  const clock = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
  if (Number.isNaN(clock)) return undefined;
  // Offsets before and after a possible change of the clocks: the time is right with one of them, unless the clocks skip it.
  const first = clock - offsetAt(clock - DAY_MS, timeZone);
  const second = clock - offsetAt(clock + DAY_MS, timeZone);
  return new Date(first + offsetAt(first, timeZone) === clock ? first : second);
}

const DAY_MS = 86_400_000;

/** Milliseconds by which the clocks of a time zone are ahead of UTC at a given time. */
function offsetAt(time: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(time);
  const part = (type: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find((candidate) => candidate.type === type)?.value);
  const clock = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return clock - Math.floor(time / 1_000) * 1_000;
}
