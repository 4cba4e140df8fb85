import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";

export function fromTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp);
}

export function toTimestamp(time: Date): Timestamp {
  return timestampFromDate(time);
}
