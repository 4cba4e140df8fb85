import { formatRelative, formatTime } from "../format/time.ts";
import { useNow } from "../format/use-now.ts";
import { useTimeZone } from "../format/use-time-zone.ts";

interface TimeProps {
  readonly date: Date | undefined;
  readonly isExact?: boolean;
}

/** Time relative to now, with the full time on hover and for screen readers. With `isExact`, the full time. */
export function Time({ date, isExact = false }: TimeProps) {
  if (date === undefined) return <>–</>;
  return isExact ? <ExactTime date={date} /> : <RelativeTime date={date} />;
}

/** Full time. It does not update with the clock, because tables have hundreds of them. */
function ExactTime({ date }: { readonly date: Date }) {
  const [timeZone] = useTimeZone();
  return <time dateTime={date.toISOString()}>{formatTime(date, timeZone)}</time>;
}

function RelativeTime({ date }: { readonly date: Date }) {
  const [timeZone] = useTimeZone();
  return (
    <time dateTime={date.toISOString()} title={formatTime(date, timeZone)}>
      {formatRelative(date, useNow())}
    </time>
  );
}
