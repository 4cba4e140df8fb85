/** The wall clock: milliseconds since the Unix epoch, as `Date.now`. A parameter wherever time decides something. */
export type Clock = () => number;

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** The time that an RFC 3339 text names, or undefined. The text must have an offset, and the date must exist. */
export function parseTime(text: string): Date | undefined {
  const [whole, date, time] = RFC_3339.exec(text.toUpperCase()) ?? [];
  if (whole === undefined) return undefined;
  // The 30th of February would roll over into March: a date that exists comes back as it was written.
  const localTime = new Date(`${date}T${time}Z`);
  const exists = !Number.isNaN(localTime.getTime()) && localTime.toISOString() === `${date}T${time}.000Z`;
  const moment = new Date(whole);
  return exists && !Number.isNaN(moment.getTime()) ? moment : undefined;
}
