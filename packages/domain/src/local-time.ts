/** Local dates of time zones, computed by `Intl`, which converts a moment to local time but not the reverse. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Longer than any time zone is ahead of UTC or behind it. */
const MAX_OFFSET_MS = 16 * HOUR_MS;
/**
 * Form of a name: only the characters of names, no offset, at most nearly three times as long as the longest name in the time zone
 * database.
 */
const NAME = /^[A-Za-z][A-Za-z0-9_+/-]{0,99}$/;

/** Returns the time that the clocks of a time zone show at a moment, as the milliseconds of the same reading in UTC. */
export type LocalClock = (ms: number) => number;

interface LocalDay {
  /** Days from 1970-01-01 to its date. */
  readonly day: number;
  /** First moment of the day, and that of the next. */
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * Clocks by name of time zone in lower case, each with the last requested day. There are no more clocks than time zones, because unknown
 * names are not kept. A clock takes 35 KB.
 */
const clocks = new Map<string, { readonly clock: LocalClock; recent: LocalDay | undefined }>();

/** Returns true if a text is the IANA name of a known time zone, e.g. `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  try {
    zoneOf(name);
    return true;
  } catch {
    return false;
  }
}

/** @throws RangeError for an unknown time zone */
export function localClock(timeZone: string): LocalClock {
  return zoneOf(timeZone).clock;
}

/**
 * Number of days from 1970-01-01 to the date that the clocks of a time zone show at a moment.
 *
 * @throws RangeError for an unknown time zone
 */
export function localDayAt(ms: number, timeZone: string): number {
  const zone = zoneOf(timeZone);
  const { recent } = zone;
  if (recent !== undefined && recent.startMs <= ms && ms < recent.endMs) return recent.day;
  const day = Math.floor(zone.clock(ms) / DAY_MS);
  const startMs = firstMomentOf(day, zone.clock);
  const endMs = firstMomentOf(day + 1, zone.clock);
  // Where clocks are put back over midnight, a date shows twice.
  if (startMs <= ms && ms < endMs) zone.recent = { day, startMs, endMs };
  return day;
}

/**
 * First moment at which the clocks of a time zone show a date or a later one: not always midnight, because clocks can be put forward then.
 *
 * @param day days from 1970-01-01 to the date
 * @throws RangeError for an unknown time zone
 */
export function startOfLocalDay(day: number, timeZone: string): number {
  const { clock, recent } = zoneOf(timeZone);
  if (recent?.day === day) return recent.startMs;
  return recent?.day === day - 1 ? recent.endMs : firstMomentOf(day, clock);
}

function firstMomentOf(day: number, clock: LocalClock): number {
  const midnight = day * DAY_MS;
  // Midnight by the offset of a moment near it, which is right unless the offset changes in between. The search reads the clock 27 times.
  const likely = 2 * midnight - clock(midnight);
  if (clock(likely) === midnight && clock(likely - 1) < midnight) return likely;
  let [before, from] = [midnight - MAX_OFFSET_MS, midnight + MAX_OFFSET_MS];
  while (from - before > 1) {
    const middle = Math.floor((before + from) / 2);
    if (clock(middle) < midnight) before = middle;
    else from = middle;
  }
  return from;
}

function zoneOf(timeZone: string) {
  if (!NAME.test(timeZone)) throw new RangeError("a time zone is named by letters, digits and _ + - /");
  const name = timeZone.toLowerCase();
  const known = clocks.get(name);
  if (known !== undefined) return known;
  const zone = { clock: createClock(timeZone), recent: undefined };
  clocks.set(name, zone);
  return zone;
}

function createClock(timeZone: string): LocalClock {
  const format = new Intl.DateTimeFormat("en-US", { timeZone, timeZoneName: "longOffset" });
  return (ms) => {
    const [, sign, hours = 0, minutes = 0, seconds = 0] =
      /GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(format.format(ms)) ?? [];
    const offsetMs = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000;
    return ms + (sign === "-" ? -offsetMs : offsetMs);
  };
}
