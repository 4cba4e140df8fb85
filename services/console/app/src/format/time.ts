import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";

/** Converts a timestamp of a message to a date; undefined if it is absent. */
export function fromTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && timestampDate(timestamp);
}

/** Cached formats by time zone: creating one takes longer than formatting a hundred times. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatIn(timeZone: string): Intl.DateTimeFormat {
  const made =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat("en-GB", {
      timeZone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZoneName: "short",
    });
  formats.set(timeZone, made);
  return made;
}

/** Time with date, seconds and offset in a time zone, e.g. `2026-11-30 09:31:05 GMT+1`: what a reader can compare with a log. */
export function formatTime(date: Date, timeZone: string): string {
  const parts = formatIn(timeZone).formatToParts(date);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((candidate) => candidate.type === type)?.value ?? "";
  return `${part("year")}-${part("month")}-${part("day")} ${part("hour")}:${part("minute")}:${part("second")} ${part("timeZoneName")}`;
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

/** Time in the future that still counts as now: `useNow` is updated only that often, and clocks differ. Milliseconds. */
const TOLERANCE_MS = 30_000;

/** Time relative to now, rounded down in its largest unit: `5 minutes ago`, `in 2 hours`. */
export function formatRelative(date: Date, now: number): string {
  const difference = date.getTime() - now;
  if (difference > 0 && difference < TOLERANCE_MS) return "now";
  const format = new Intl.RelativeTimeFormat("en");
  for (const [unit, length] of UNITS) {
    if (Math.abs(difference) >= length) return format.format(Math.trunc(difference / length), unit);
  }
  return "now";
}

/** Duration for people: `850 ms`, `2.4 s`, `3 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  // Each unit is chosen by the rounded number: 59.96 s are 1 min 0 s.
  if (Math.round(milliseconds) < 1_000) return `${Math.round(milliseconds)} ms`;
  if (Math.round(milliseconds / 100) < 600) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
