import { NatsError } from "nats";
import type { Session } from "./connection.ts";
import { STREAM } from "./stream.ts";

/** How far behind a durable consumer is, over all processes that share it. */
export interface ConsumerLag {
  /** Messages (of up to 100 events each) that are not acknowledged: not delivered yet, or in somebody's hands. */
  readonly pendingMessages: number;
  /** How long ago NATS took the oldest of them; 0 if there is none. */
  readonly oldestMs: number;
}

/** @throws Error if NATS does not answer, or has no such consumer */
export async function lagOf({ manager }: Session, durable: string, nowMs: number): Promise<ConsumerLag> {
  const { num_pending, num_ack_pending, ack_floor } = await manager.consumers.info(STREAM, durable);
  const pendingMessages = num_pending + num_ack_pending;
  if (pendingMessages === 0) return { pendingMessages, oldestMs: 0 };
  const { state } = await manager.streams.info(STREAM);
  // All up to the floor are acknowledged, so that the oldest is the next one, or the first that has not expired.
  const seq = Math.max(ack_floor.stream_seq + 1, state.first_seq);
  try {
    const { time } = await manager.streams.getMessage(STREAM, { seq });
    return { pendingMessages, oldestMs: Math.max(0, nowMs - time.getTime()) };
  } catch (error) {
    // It has been acknowledged and removed meanwhile.
    if (error instanceof NatsError && error.api_error?.err_code === 10_037) return { pendingMessages, oldestMs: 0 };
    throw error;
  }
}
