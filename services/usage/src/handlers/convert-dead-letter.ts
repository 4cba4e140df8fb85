import { fromBinary, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { type UsageEventBatch, UsageEventBatchSchema } from "@routeplane/contracts/events";
import { type DeadLetterSchema, DeadLetterState as ProtoState } from "@routeplane/contracts/usage";
import { toTimestamp } from "@routeplane/rpc";
import type { DeadLetter, DeadLetterState, ListedDeadLetter } from "../domain/dead-letters.ts";

const STATES: Readonly<Record<DeadLetterState, ProtoState>> = {
  held: ProtoState.HELD,
  replaying: ProtoState.REPLAYING,
  replayed: ProtoState.REPLAYED,
  discarded: ProtoState.DISCARDED,
};

const BY_STATE = new Map(Object.entries(STATES).map(([state, proto]) => [proto, state as DeadLetterState]));

/** Returns the state; undefined, for any, if it is UNSPECIFIED. */
export function fromProtoDeadLetterState(state: ProtoState): DeadLetterState | undefined {
  return BY_STATE.get(state);
}

export function toProtoDeadLetter(letter: ListedDeadLetter): MessageInitShape<typeof DeadLetterSchema> {
  const { id, reason, namespaceId, requestId, createdAt, changedAt, changedById } = letter;
  return {
    id,
    reason,
    state: STATES[letter.state],
    namespaceId,
    requestId,
    createdAt: toTimestamp(createdAt),
    ...(changedAt && { changedAt: toTimestamp(changedAt) }),
    changedBy: changedById,
  };
}

/** Converts a dead letter with its bytes, and with its events if they can be decoded and written as JSON. */
export function toProtoDeadLetterInFull(letter: DeadLetter): MessageInitShape<typeof DeadLetterSchema> {
  const content = readBatch(letter.payload);
  return { ...toProtoDeadLetter(letter), payload: letter.payload, ...(content && { content }) };
}

function readBatch(payload: Uint8Array): UsageEventBatch | undefined {
  try {
    const batch = fromBinary(UsageEventBatchSchema, payload);
    // Fails e.g. for a time after year 9999, with which no call of a JSON client could be answered.
    toJson(UsageEventBatchSchema, batch);
    return batch;
  } catch {
    return undefined;
  }
}
