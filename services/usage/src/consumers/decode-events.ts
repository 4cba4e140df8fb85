import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema } from "@routeplane/contracts/events";

/** The events in a message, or undefined if it is no batch of events. */
export function decodeEvents(payload: Uint8Array): readonly UsageEvent[] | undefined {
  try {
    return fromBinary(UsageEventBatchSchema, payload).events;
  } catch {
    return undefined;
  }
}

/** One event as a message of its own, with all that it says: also what this release does not know. */
export function encodeEvent(event: UsageEvent): Uint8Array {
  return toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [event] }));
}
