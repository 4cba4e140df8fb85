import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema } from "@routeplane/contracts/events";
import type { EventPlace } from "@routeplane/events";

/** Decodes the events of a message; undefined if it is not a batch of events. */
export function decodeEvents(payload: Uint8Array): readonly UsageEvent[] | undefined {
  try {
    return fromBinary(UsageEventBatchSchema, payload).events;
  } catch {
    return undefined;
  }
}

/** Finds which of the two events of its request an event is; undefined for an event without a request. */
export function placeOfEvent({ request, phase }: UsageEvent): EventPlace | undefined {
  if (request === undefined) return undefined;
  return { request: request.requestId, place: phase.case === "admitted" ? "first" : "last" };
}

/** Encodes one event as a message of its own, including fields that only a later release knows. */
export function encodeEvent(event: UsageEvent): Uint8Array {
  return toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [event] }));
}
