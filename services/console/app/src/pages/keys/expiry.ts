import { fromLocalTime } from "../../format/local-time.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Spans from now after which a key can expire, by name. Milliseconds. */
const SPANS = {
  "1h": HOUR_MS,
  "8h": 8 * HOUR_MS,
  "1d": DAY_MS,
  "7d": 7 * DAY_MS,
  "30d": 30 * DAY_MS,
  "90d": 90 * DAY_MS,
} as const;

export const SPAN_TITLES: Readonly<Record<keyof typeof SPANS, string>> = {
  "1h": "In 1 hour",
  "8h": "In 8 hours",
  "1d": "In 1 day",
  "7d": "In 7 days",
  "30d": "In 30 days",
  "90d": "In 90 days",
};

/** Choice of an expiry in a form. */
export interface ExpiryChoice {
  /** `""`: no own expiry; `at`: the time in `time`; otherwise the name of a span. */
  readonly kind: string;
  /** Text of a `datetime-local` input. */
  readonly time: string;
}

export const NO_EXPIRY: ExpiryChoice = { kind: "", time: "" };

/** Converts the choice to an expiry, absent for none, or to the fault of the choice. */
export function expiryOf(
  { kind, time }: ExpiryChoice,
  now: number,
  timeZone: string,
): { readonly expiresAt?: Date } | { readonly fault: string } {
  if (kind === "") return {};
  if (kind !== "at") return { expiresAt: new Date(now + SPANS[kind as keyof typeof SPANS]) };
  const expiresAt = fromLocalTime(time, timeZone);
  return expiresAt === undefined ? { fault: "Choose a date, with all digits of the year, and a time" } : { expiresAt };
}
