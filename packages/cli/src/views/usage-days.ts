import { dateClock, startOfDate } from "../written-time.ts";
import type { TotalsView, UsageGroupView } from "./usage.ts";

/** Days by the clock of a time zone, of which the node knows only the hours. */

const SUMS = [
  "request_count",
  "prompt_tokens",
  "completion_tokens",
  "spend_micro_usd",
  "denied_count",
  "denied_unlogged_count",
] as const satisfies readonly (keyof TotalsView)[];

/** True if days of the time zone begin and end with an hour of UTC, in summer and in winter. */
export function hasWholeHours(timeZone: string, year: number): boolean {
  return [`${year}-01-15`, `${year}-07-15`].every((date) => startOfDate(date, timeZone).getUTCMinutes() === 0);
}

/**
 * Groups of days, merged from groups of hours: by day, then by spend, most first, as the node sorts groups.
 *
 * @param keepsHours true if hours are a dimension too, so that each group only gets its day
 */
export function toLocalDays(
  groups: readonly UsageGroupView[],
  timeZone: string,
  keepsHours: boolean,
): readonly UsageGroupView[] {
  const dateOf = dateClock(timeZone);
  const starts = new Map<string, string>();
  const dayOf = (hour: string): string => {
    const date = dateOf(Date.parse(hour));
    const start = starts.get(date) ?? startOfDate(date, timeZone).toISOString();
    starts.set(date, start);
    return start;
  };
  const merged = new Map<string, UsageGroupView>();
  for (const group of groups) {
    const { hour = "", ...others } = group;
    const ofDay = { ...(keepsHours ? group : others), day: dayOf(hour) };
    const key = dimensionsOf(ofDay);
    const before = merged.get(key);
    merged.set(key, before === undefined ? ofDay : { ...before, ...sumsOf(before, ofDay) });
  }
  return [...merged.values()].toSorted(
    (left, right) => compareTimes(left, right) || right.spend_micro_usd - left.spend_micro_usd,
  );
}

/** Text that groups of the same dimensions have in common. */
function dimensionsOf(group: UsageGroupView): string {
  const isSum = (name: string): boolean => SUMS.some((sum) => sum === name);
  return JSON.stringify(Object.entries(group).filter(([name]) => !isSum(name)));
}

function sumsOf(left: TotalsView, right: TotalsView): Partial<TotalsView> {
  return Object.fromEntries(SUMS.map((name) => [name, left[name] + right[name]]));
}

function compareTimes(left: UsageGroupView, right: UsageGroupView): number {
  const timeOf = ({ day = "", hour = "" }: UsageGroupView): string => `${day} ${hour}`;
  return timeOf(left) < timeOf(right) ? -1 : timeOf(left) > timeOf(right) ? 1 : 0;
}
