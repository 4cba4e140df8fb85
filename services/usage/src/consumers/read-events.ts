import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventBatchSchema, UsageEventSchema } from "@routeplane/contracts/events";
import { fromProtoUsageEvent } from "./convert.ts";
import { Cursor, IrregularError } from "./cursor.ts";
import { type Plain, plainReader } from "./wire.ts";

/** One event of a message. */
export interface ReadEvent {
  /** What it says of its request, or the rule that it breaks. */
  readonly said: ReturnType<typeof fromProtoUsageEvent>;
  /** Where its bytes are. */
  readonly source: EventSource;
}

interface EventSource {
  readonly payload: Uint8Array;
  readonly from: number;
  readonly to: number;
}

const readPlainEvent = plainReader(UsageEventSchema);

/** Field 1, as a value that says its length first. */
const EVENTS_TAG = UsageEventBatchSchema.field.events.number * 8 + 2;

/** The events in a message, or undefined if it is no batch of events. */
export function readEvents(payload: Uint8Array): readonly ReadEvent[] | undefined {
  try {
    return readPlainBatch(payload);
  } catch (error) {
    if (!(error instanceof IrregularError)) throw error;
  }
  return readBatch(payload);
}

/** The bytes of one event as a batch of its own: those that came. */
export function payloadOf({ source: { payload, from, to } }: ReadEvent): Uint8Array {
  return payload.subarray(from, to);
}

/** Event by event, so that of each nothing is kept but what is recorded. */
function readPlainBatch(payload: Uint8Array): readonly ReadEvent[] {
  const cursor = new Cursor(payload);
  const events: ReadEvent[] = [];
  while (cursor.at < payload.length) {
    const from = cursor.at;
    if (cursor.uint() !== EVENTS_TAG) throw new IrregularError();
    const event = readPlainEvent(cursor, cursor.end()) as Plain<UsageEvent>;
    events.push({ said: fromProtoUsageEvent(event), source: { payload, from, to: cursor.at } });
  }
  return events;
}

function readBatch(payload: Uint8Array): readonly ReadEvent[] | undefined {
  return decode(payload)?.map((event) => {
    const alone = toBinary(UsageEventBatchSchema, create(UsageEventBatchSchema, { events: [event] }));
    return { said: fromProtoUsageEvent(event), source: { payload: alone, from: 0, to: alone.length } };
  });
}

function decode(payload: Uint8Array): readonly UsageEvent[] | undefined {
  try {
    return fromBinary(UsageEventBatchSchema, payload).events;
  } catch {
    return undefined;
  }
}
