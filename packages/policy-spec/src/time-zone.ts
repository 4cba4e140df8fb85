import { isCalendarWindow } from "@routeplane/admission";
import { isTimeZone } from "@routeplane/domain";

/**
 * Returns the rule that the time zone of a budget breaks, or undefined: a calendar window must have a time zone, and other windows must
 * not.
 */
export function timeZoneFault(window: string, timeZone: string | undefined): string | undefined {
  if (!isCalendarWindow(window)) {
    return timeZone === undefined ? undefined : "is for the windows calendar_day and calendar_month alone";
  }
  return timeZone !== undefined && isTimeZone(timeZone)
    ? undefined
    : "must be the name of a time zone, e.g. Europe/Berlin";
}
