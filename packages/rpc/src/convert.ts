import { type Duration, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { invalidField } from "@routeplane/domain";

/** Converts a timestamp, rounded to the nearest millisecond. */
export function fromTimestamp(timestamp: Pick<Timestamp, "seconds" | "nanos"> | undefined): Date | undefined {
  if (timestamp === undefined) return undefined;
  return new Date(Number(timestamp.seconds) * 1_000 + Math.round(timestamp.nanos / 1e6));
}

interface ProtoRange {
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
}

/**
 * Converts the time range of a list's filter; an end that is open is undefined.
 *
 * @throws DomainError INVALID_ARGUMENT for an empty range: an empty list would hide the mistake
 */
export function fromTimeRange(filter: ProtoRange | undefined): { from: Date | undefined; to: Date | undefined } {
  const [from, to] = [fromTimestamp(filter?.from), fromTimestamp(filter?.to)];
  if (from !== undefined && to !== undefined && from >= to)
    throw invalidField("filter.from", "must be before filter.to");
  return { from, to };
}

export function toTimestamp(time: Date): Timestamp {
  return timestampFromDate(time);
}

/** Converts a duration to seconds. Fractional, negative and absurd values are kept, so that a rule can refuse them. */
export function fromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) + duration.nanos / 1e9;
}
