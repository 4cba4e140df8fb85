import { type Duration, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { invalidField } from "@routeplane/domain";

/** To the nearest millisecond. */
export function fromTimestamp(timestamp: Pick<Timestamp, "seconds" | "nanos"> | undefined): Date | undefined {
  if (timestamp === undefined) return undefined;
  return new Date(Number(timestamp.seconds) * 1_000 + Math.round(timestamp.nanos / 1e6));
}

interface ProtoRange {
  readonly from?: Timestamp | undefined;
  readonly to?: Timestamp | undefined;
}

/**
 * Both ends of a list's filter by time, each undefined if it is open.
 *
 * @throws DomainError INVALID_ARGUMENT for an empty range: the list would look as if there were nothing
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

/** In seconds. Keeps what makes a duration fractional, negative or absurd, so that a rule can refuse it. */
export function fromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) + duration.nanos / 1e9;
}
