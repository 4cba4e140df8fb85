import { setTimeout as delay } from "node:timers/promises";
import { AckPolicy, type ConsumerConfig, DeliverPolicy, type JetStreamManager, NatsError, nanos } from "nats";
import type { Session } from "./connection.ts";
import { differences, DUPLICATE_WINDOW_MS, STREAM, SUBJECT } from "./stream.ts";

export interface JetStreamConsumerOptions {
  /** Name of the durable consumer: its position in the stream outlives every process. */
  readonly durable: string;
  /** Number of processes that can share it. */
  readonly workers: number;
  /** Number of messages that one of them handles at a time. */
  readonly batch: number;
}

/** Lag of a durable consumer, over all processes that share it. */
export interface ConsumerLag {
  /** Messages (of up to 100 events each) that are not acknowledged: not delivered yet, or being handled. */
  readonly pendingMessages: number;
  /** Age of the oldest of them; 0 if there is none. */
  readonly oldestMs: number;
}

/** Longer than a batch ever takes; the messages of a killed worker are delivered again after it. */
const ACK_WAIT_MS = 10_000;

/** Error codes of JetStream: no such consumer, no such message. */
const NO_CONSUMER = 10_014;
const NO_MESSAGE = 10_037;

/** Returns the consumer's declaration. A finite max_deliver would drop messages while the database is down. */
function declared({ durable, workers, batch }: JetStreamConsumerOptions) {
  return {
    durable_name: durable,
    filter_subject: SUBJECT,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    max_deliver: -1,
    // A consumer that reaches this stops for all workers. Each has up to two batches, and as many again can still be
    // assigned to a worker that died.
    max_ack_pending: workers * batch * 4,
  } as const satisfies Partial<ConsumerConfig>;
}

/**
 * Creates the durable consumer, or updates it to what is declared here.
 *
 * @throws Error that names the fields in which the server's consumer still differs
 */
export async function declareConsumer({ manager }: Session, options: JetStreamConsumerOptions): Promise<void> {
  const wanted = declared(options);
  if (await exists(manager, options.durable)) await manager.consumers.update(STREAM, options.durable, wanted);
  else await manager.consumers.add(STREAM, wanted);
  const { config } = await manager.consumers.info(STREAM, options.durable);
  const differing = differences(wanted, config);
  if (differing.length > 0) throw new Error(`consumer ${options.durable} is not as declared: ${differing.join(", ")}`);
}

async function exists(manager: JetStreamManager, durable: string): Promise<boolean> {
  try {
    await manager.consumers.info(STREAM, durable);
    return true;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === NO_CONSUMER) return false;
    throw error;
  }
}

/** Reads the lag of a durable consumer. @throws Error if NATS does not answer, or has no such consumer */
export async function readLag({ manager }: Session, durable: string, nowMs: number): Promise<ConsumerLag> {
  const { num_pending, num_ack_pending, ack_floor } = await manager.consumers.info(STREAM, durable);
  const pendingMessages = num_pending + num_ack_pending;
  if (pendingMessages === 0) return { pendingMessages, oldestMs: 0 };
  const { state } = await manager.streams.info(STREAM);
  // All messages up to the floor are acknowledged: the oldest is the next one, or the first that has not expired.
  const seq = Math.max(ack_floor.stream_seq + 1, state.first_seq);
  try {
    const { time } = await manager.streams.getMessage(STREAM, { seq });
    return { pendingMessages, oldestMs: Math.max(0, nowMs - time.getTime()) };
  } catch (error) {
    // It has been acknowledged and removed meanwhile.
    if (error instanceof NatsError && error.api_error?.err_code === NO_MESSAGE) return { pendingMessages, oldestMs: 0 };
    throw error;
  }
}

/**
 * Removes acknowledged messages from the stream until stopped: a full stream refuses new ones. A message is removed once it is
 * below the consumer's acknowledgement floor and older than the window of duplicates.
 */
export async function trimAcknowledged(
  session: () => Session | undefined,
  { durable }: JetStreamConsumerOptions,
  stopped: AbortSignal,
  intervalMs = DUPLICATE_WINDOW_MS,
): Promise<void> {
  let acknowledgedSequence = 0;
  while (!stopped.aborted) {
    await delay(intervalMs, undefined, { signal: stopped }).catch(() => {});
    const manager = session()?.manager;
    if (manager === undefined || stopped.aborted) continue;
    try {
      if (acknowledgedSequence > 0) await manager.streams.purge(STREAM, { seq: acknowledgedSequence + 1 });
      acknowledgedSequence = (await manager.consumers.info(STREAM, durable)).ack_floor.stream_seq;
    } catch {
      // The next round removes them: nothing depends on when.
    }
  }
}
