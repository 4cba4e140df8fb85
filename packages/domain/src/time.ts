/** The wall clock: milliseconds since the Unix epoch, as `Date.now`. Passed as a parameter wherever a decision depends on time. */
export type Clock = () => number;

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** First and last moment of the years 1 to 9999 in UTC, which are all that RFC 3339 can express. */
const FIRST_MS = Date.parse("0001-01-01T00:00:00Z");
const LAST_MS = Date.parse("9999-12-31T23:59:59.999Z");

/** The time that an RFC 3339 text names, or undefined. The text must have an offset, and the date must exist. */
export function parseTime(text: string): Date | undefined {
  const [whole, date, time] = RFC_3339.exec(text.toUpperCase()) ?? [];
  if (whole === undefined) return undefined;
  // The 30th of February would roll over into March: a date that exists comes back as it was written.
  const localTime = new Date(`${date}T${time}Z`);
  const exists = !Number.isNaN(localTime.getTime()) && localTime.toISOString() === `${date}T${time}.000Z`;
  const moment = new Date(whole);
  const isExpressible = moment.getTime() >= FIRST_MS && moment.getTime() <= LAST_MS;
  return exists && isExpressible ? moment : undefined;
}
