import { setTimeout as delay } from "node:timers/promises";
import { AckPolicy, type ConsumerConfig, DeliverPolicy, type JetStreamManager, NatsError, nanos } from "nats";
import type { Session } from "./connection.ts";
import { differences, DUPLICATE_WINDOW_MS, STREAM, SUBJECT } from "./stream.ts";

export interface JetStreamConsumerOptions {
  /** Name of the consumer: its place in the stream outlives every process. */
  readonly durable: string;
  /** How many processes may share it. */
  readonly workers: number;
  /** Messages that one of them takes at a time. */
  readonly batch: number;
}

/** Longer than a batch ever takes; what a killed worker held comes back after it. */
const ACK_WAIT_MS = 10_000;

/** A finite max_deliver would drop messages while the database is away. */
function declared({ durable, workers, batch }: JetStreamConsumerOptions) {
  return {
    durable_name: durable,
    filter_subject: SUBJECT,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    max_deliver: -1,
    // A consumer that reaches this stops for everyone: each worker holds up to two batches, and as many again may be on
    // their way back from one that died.
    max_ack_pending: workers * batch * 4,
  } as const satisfies Partial<ConsumerConfig>;
}

/** Creates the durable consumer, or brings it to what is declared here, and holds what the server made of it against that. */
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
    if (error instanceof NatsError && error.api_error?.err_code === 10_014) return false;
    throw error;
  }
}

/**
 * Keeps the stream from filling up with messages that are done: a full stream refuses new ones. What every message up to the
 * consumer's acknowledgement floor held was committed; it is removed once it is older than the window for repetitions.
 */
export async function trimAcknowledged(
  session: () => Session | undefined,
  { durable }: JetStreamConsumerOptions,
  stopped: AbortSignal,
  intervalMs = DUPLICATE_WINDOW_MS,
): Promise<void> {
  let done = 0;
  while (!stopped.aborted) {
    await delay(intervalMs, undefined, { signal: stopped }).catch(() => {});
    const manager = session()?.manager;
    if (manager === undefined || stopped.aborted) continue;
    try {
      if (done > 0) await manager.streams.purge(STREAM, { seq: done + 1 });
      done = (await manager.consumers.info(STREAM, durable)).ack_floor.stream_seq;
    } catch {
      // The next round does it: nothing depends on when.
    }
  }
}
