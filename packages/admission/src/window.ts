import { ENDLESS, type RollingScale, rollingScale, type Scale, WINDOW_BUCKETS } from "./scale.ts";

/** Every window of a budget: rolling ones, shortest first, `total`, which never ends, and those of a calendar. */
export const BUDGET_WINDOWS = ["hour", "day", "week", "month", "total", "calendar_day", "calendar_month"] as const;

export type BudgetWindow = (typeof BUDGET_WINDOWS)[number];

/** Window that begins with a day or a month of a time zone. */
export type CalendarWindow = Extract<BudgetWindow, `calendar_${string}`>;

type RollingWindow = Exclude<BudgetWindow, CalendarWindow | "total">;

/** Time zone of a calendar window unless another is set. */
export const DEFAULT_TIME_ZONE = "UTC";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const DURATION_MS: Readonly<Record<RollingWindow, number>> = {
  hour: HOUR_MS,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 30 * DAY_MS,
};

export function isCalendarWindow(window: string): window is CalendarWindow {
  return window === "calendar_day" || window === "calendar_month";
}

/** Scale of a budget's ring. */
export function budgetScale({ window, timeZone = DEFAULT_TIME_ZONE }: TimedWindow): Scale {
  if (window === "total") return ENDLESS;
  return isCalendarWindow(window) ? { kind: window, timeZone } : rollingScale(DURATION_MS[window] / WINDOW_BUCKETS);
}

/** Window of a budget, with the time zone of a calendar window. */
export interface TimedWindow {
  readonly window: BudgetWindow;
  /** IANA name; undefined if the window is not a calendar window. */
  readonly timeZone?: string | undefined;
}

/** Length of the rolling window of a budget in seconds; undefined for other windows. */
export function budgetWindowSecs(window: BudgetWindow): number | undefined {
  return window === "total" || isCalendarWindow(window) ? undefined : DURATION_MS[window] / 1_000;
}

/** Width of the buckets of a rate limit's rings: whole milliseconds for any whole number of seconds. */
export function rateBucketMs(windowSecs: number): number {
  return (windowSecs * 1_000) / WINDOW_BUCKETS;
}

/** Scale of a rate limit's rings. */
export function rateScale(windowSecs: number): RollingScale {
  return rollingScale(rateBucketMs(windowSecs));
}
