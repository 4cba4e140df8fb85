import { formatRelative, formatTime } from "../format/time.ts";
import { useNow } from "../format/use-now.ts";
import { useTimeZone } from "../format/use-time-zone.ts";

/** Time: from now, and whole on hover and for screen readers. With `isExact`, whole. */
export function Time({ date, isExact = false }: { readonly date: Date | undefined; readonly isExact?: boolean }) {
  const [timeZone] = useTimeZone();
  const now = useNow();
  if (date === undefined) return <>–</>;
  const whole = formatTime(date, timeZone);
  return (
    <time dateTime={date.toISOString()} title={whole}>
      {isExact ? whole : formatRelative(date, now)}
    </time>
  );
}
