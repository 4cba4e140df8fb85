import { crc32 } from "node:zlib";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { RequestFactsSchema, UnloggedDenialsSchema, UsageEventSchema } from "@routeplane/contracts/events";

/**
 * Partition of the events of a namespace, from 0: all events of one namespace are in one partition, so that two aggregators
 * write no row of the same namespace.
 */
export function partitionOf(namespaceId: Uint8Array | string, partitions: number): number {
  return crc32(namespaceId) % partitions;
}

/** Encoded usage event. */
export interface PartitionedEvent {
  readonly payload: Uint8Array;
  /** Namespace of the event; if undefined, it is read from the event. */
  readonly namespaceId?: string | undefined;
}

/** Groups encoded usage events by their partition, each group in the given order. */
export function byPartition(
  events: readonly PartitionedEvent[],
  partitions: number,
): ReadonlyMap<number, Uint8Array[]> {
  const groups = new Map<number, Uint8Array[]>();
  for (const { payload, namespaceId = namespaceOf(payload) } of events) {
    const partition = partitionOf(namespaceId, partitions);
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [payload]);
    else group.push(payload);
  }
  return groups;
}

/** Fields of an event that hold its namespace, each with the field within it. */
const NAMESPACE_FIELDS: ReadonlyMap<number, number> = new Map([
  [UsageEventSchema.field.request.number, RequestFactsSchema.field.namespaceId.number],
  [UsageEventSchema.field.unloggedDenials.number, UnloggedDenialsSchema.field.namespaceId.number],
]);

const NONE = new Uint8Array();

/** Reads the namespace of an encoded usage event without decoding the rest; empty if it has none or cannot be read. */
function namespaceOf(event: Uint8Array): Uint8Array {
  try {
    for (const [outer, inner] of NAMESPACE_FIELDS) {
      const message = findField(event, outer);
      if (message !== undefined) return findField(message, inner) ?? NONE;
    }
  } catch {
    // Not an event: any partition will do, because the aggregator keeps it as a dead letter.
  }
  return NONE;
}

/** Returns the bytes of the first length-delimited field with this number. @throws Error if the bytes are not a message */
function findField(message: Uint8Array, wanted: number): Uint8Array | undefined {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === WireType.LengthDelimited) return reader.bytes();
    reader.skip(type, field);
  }
  return undefined;
}
