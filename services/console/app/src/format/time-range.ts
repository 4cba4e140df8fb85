import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { fromTimestamp } from "./time.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Ranges that end now, by their name in the address. Milliseconds. */
export const RANGES = {
  "1h": HOUR_MS,
  "24h": DAY_MS,
  "7d": 7 * DAY_MS,
  "30d": 30 * DAY_MS,
  "90d": 90 * DAY_MS,
} as const;

/** Time range: start inclusive, end exclusive. */
export interface TimeRange {
  readonly from: Date;
  readonly to: Date;
}

/** Filters in the address that give a range: a name of `RANGES`, or two times in RFC 3339. */
export interface RangeFilters {
  readonly range: string;
  readonly from: string;
  readonly to: string;
}

/** Range that the filters give, or the default range if they give none. Ends are full minutes, so that reads can be cached. */
export function timeRangeOf(
  { range, from, to }: RangeFilters,
  now: number,
  byDefault: keyof typeof RANGES = "7d",
): TimeRange {
  const [start, end] = [Date.parse(from), Date.parse(to)];
  if (start < end) return { from: new Date(start), to: new Date(end) };
  const length = isRangeName(range) ? RANGES[range] : RANGES[byDefault];
  const last = Math.ceil(now / 60_000) * 60_000;
  return { from: new Date(last - length), to: new Date(last) };
}

/** Previous range of the same length, for comparison. */
export function rangeBefore({ from, to }: TimeRange): TimeRange {
  return { from: new Date(2 * from.getTime() - to.getTime()), to: from };
}

/** Converts a range to the fields of a message. */
export function toProtoRange({ from, to }: TimeRange) {
  return { from: timestampFromMs(from.getTime()), to: timestampFromMs(to.getTime()) };
}

/** Converts the range of a response, which always has both ends. */
export function fromProtoRange({
  from,
  to,
}: {
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
}): TimeRange {
  return { from: fromTimestamp(from) ?? new Date(0), to: fromTimestamp(to) ?? new Date(0) };
}

/** True for a name of `RANGES`. */
export function isRangeName(text: string): text is keyof typeof RANGES {
  return Object.hasOwn(RANGES, text);
}
