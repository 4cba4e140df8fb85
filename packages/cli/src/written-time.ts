import { isTimeZone, parseTime, startOfLocalDay } from "@routeplane/domain";
import { InvalidArgumentError } from "commander";

/** A time as a command line writes it: a moment, a date, or a span from now. `text` is as it was written. */
export type WrittenTime = { readonly text: string } & (
  | { readonly kind: "moment"; readonly time: Date }
  | { readonly kind: "date" }
  | { readonly kind: "span"; readonly seconds: number }
);

/** Circumstances that dates and spans depend on. */
export interface TimeReference {
  readonly now: number;
  /** IANA name; undefined: that of the system. */
  readonly timeZone: string | undefined;
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const DAY_MS = 86_400_000;
const MAX_SPAN_SECS = 3_650 * SECONDS.d;

/** Seconds of a whole number of s, m, h or d; not a number for any other text. */
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
  // As it was written: the name that it resolves to can be an older one.
  return text;
}

/** Moment of a written time, with a span counted back from now. */
export function toPastTime(written: WrittenTime, reference: TimeReference): Date {
  return toMoment(written, reference, -1);
}

/** Moment of a written time, with a span counted on from now. */
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
