import { isTimeZone, parseTime, startOfLocalDay } from "@routeplane/domain";
import { InvalidArgumentError } from "commander";

/** Time as written on a command line: a moment, a date, or a span from now. `text` is the original text. */
export type WrittenTime = { readonly text: string } & (
  | { readonly kind: "moment"; readonly time: Date }
  | { readonly kind: "date" }
  | { readonly kind: "span"; readonly seconds: number }
);

/** Clock and time zone that dates and spans depend on. */
export interface TimeReference {
  readonly now: number;
  /** IANA name; undefined: the time zone of the system. */
  readonly timeZone: string | undefined;
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const DAY_MS = 86_400_000;
const MAX_SPAN_SECS = 3_650 * SECONDS.d;

/** Number of seconds in a text such as `90m`, in s, m, h or d; NaN for any other text. */
export function secondsOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  return Number(number) * (SECONDS[unit as keyof typeof SECONDS] ?? Number.NaN);
}

/** Parses a span up to ten years, a date from 1970 on, or an RFC 3339 time with an offset. */
export function writtenTimeArgument(text: string): WrittenTime {
  const seconds = secondsOf(text);
  if (seconds <= MAX_SPAN_SECS) return { text, kind: "span", seconds };
  if (isDate(text)) return { text, kind: "date" };
  const time = parseTime(text);
  if (time !== undefined) return { text, kind: "moment", time };
  throw new InvalidArgumentError(
    "It must be a span, e.g. 24h or 30d, a date, e.g. 2026-05-01, or an RFC 3339 time with an offset, e.g. 2026-05-01T00:00:00Z.",
  );
}

/** Parses an expiry: a span from now, a date in the time zone of the system, or an RFC 3339 time with an offset. */
export function expiryArgument(text: string): Date {
  return toFutureTime(writtenTimeArgument(text), { now: Date.now(), timeZone: undefined });
}

/** Parses a time zone that Node.js knows. */
export function timeZoneArgument(text: string): string {
  if (!isTimeZone(text))
    throw new InvalidArgumentError("It must be the name of a time zone, e.g. Europe/Berlin or UTC.");
  // The name is kept as written, because it can resolve to an older name.
  return text;
}

/** Converts a written time to a moment; a span is counted back from now. */
export function toPastTime(written: WrittenTime, reference: TimeReference): Date {
  return toMoment(written, reference, -1);
}

/** Converts a written time to a moment; a span is counted forward from now. */
export function toFutureTime(written: WrittenTime, reference: TimeReference): Date {
  return toMoment(written, reference, 1);
}

function toMoment(written: WrittenTime, { now, timeZone }: TimeReference, direction: 1 | -1): Date {
  switch (written.kind) {
    case "moment":
      return written.time;
    case "date":
      return startOfDate(written.text, timeZone);
    case "span":
      return new Date(now + direction * written.seconds * 1_000);
  }
}

function isDate(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && text >= "1970-01-01" && parseTime(`${text}T00:00:00Z`) !== undefined;
}

/** First moment of a date in a time zone: not always midnight, because clocks can be put forward then. */
export function startOfDate(date: string, timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone): Date {
  return new Date(startOfLocalDay(Date.parse(`${date}T00:00:00Z`) / DAY_MS, timeZone));
}
