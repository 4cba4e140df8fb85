import { type Duration, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";

/** To the nearest millisecond. */
export function fromTimestamp(timestamp: Pick<Timestamp, "seconds" | "nanos"> | undefined): Date | undefined {
  if (timestamp === undefined) return undefined;
  return new Date(Number(timestamp.seconds) * 1_000 + Math.round(timestamp.nanos / 1e6));
}

export function toTimestamp(time: Date): Timestamp {
  return timestampFromDate(time);
}

/** In seconds. Keeps what makes a duration fractional, negative or absurd, so that a rule can refuse it. */
export function fromDuration(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Number(duration.seconds) + duration.nanos / 1e9;
}
