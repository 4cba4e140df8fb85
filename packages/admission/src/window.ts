import { FOR_EVER_MS, WINDOW_BUCKETS } from "./bucket-ring.ts";

/** Window of a budget: rolling, except for `total`, which never ends. */
export type BudgetWindow = "hour" | "day" | "week" | "month" | "total";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const DURATION_MS: Readonly<Record<Exclude<BudgetWindow, "total">, number>> = {
  hour: HOUR_MS,
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 30 * DAY_MS,
};

/** Every window, shortest first. */
export const BUDGET_WINDOWS: readonly BudgetWindow[] = ["hour", "day", "week", "month", "total"];

/** Width of the buckets of a budget's ring. */
export function budgetBucketMs(window: BudgetWindow): number {
  return window === "total" ? FOR_EVER_MS : DURATION_MS[window] / WINDOW_BUCKETS;
}

/** Length of the rolling window of a budget in seconds; undefined for one that never ends. */
export function budgetWindowSecs(window: BudgetWindow): number | undefined {
  return window === "total" ? undefined : DURATION_MS[window] / 1_000;
}

/** Width of the buckets of a rate limit's rings: whole milliseconds for any whole number of seconds. */
export function rateBucketMs(windowSecs: number): number {
  return (windowSecs * 1_000) / WINDOW_BUCKETS;
}
