import { AckPolicy, type ConsumerConfig, DeliverPolicy, type JetStreamManager, NatsError, nanos } from "nats";
import type { Session } from "./connection.ts";
import { differences, type StreamLayout, UNPARTITIONED } from "./stream.ts";

/** One subject of a stream, with the durable consumer of its messages: its position in the stream outlives every process. */
export interface Source {
  readonly stream: string;
  readonly subject: string;
  readonly durable: string;
  /** Number of messages that can be delivered and not acknowledged; a consumer that reaches it stops. */
  readonly maxAckPending: number;
}

/** Lag of all sources, over all processes. */
export interface ConsumerLag {
  /** Messages (of up to 100 events each) that are not acknowledged: not delivered yet, or being handled. */
  readonly pendingMessages: number;
  /** Age of the oldest of them; 0 if there is none. */
  readonly oldestMs: number;
}

/** Longer than a batch ever takes; the messages of a killed process are delivered again after it. */
const ACK_WAIT_MS = 10_000;

/** Value that releases without partitions declare, which may run at the same time: 16 processes with four batches of 50. */
const UNPARTITIONED_MAX_ACK_PENDING = 3_200;

/** Error codes of JetStream: no such consumer, no such message. */
const NO_CONSUMER = 10_014;
const NO_MESSAGE = 10_037;

/** Lists the sources of the partitions, in their order: `<durable>-0` consumes the first. */
export function sourcesOf({ stream, subjects }: StreamLayout, durable: string, batch: number): readonly Source[] {
  return subjects.map((subject, partition) => ({
    stream,
    subject,
    durable: `${durable}-${partition}`,
    // One process handles up to two batches and buffers two; as many again can still be assigned to one that died.
    maxAckPending: batch * 8,
  }));
}

/** Returns the source of the unpartitioned stream of earlier releases, which all processes share. */
export function unpartitionedSource(durable: string): Source {
  return { ...UNPARTITIONED, durable, maxAckPending: UNPARTITIONED_MAX_ACK_PENDING };
}

/** Returns the consumer's declaration. A finite max_deliver would drop messages while the database is down. */
function declared({ subject, durable, maxAckPending }: Source) {
  return {
    durable_name: durable,
    filter_subject: subject,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    max_deliver: -1,
    max_ack_pending: maxAckPending,
  } as const satisfies Partial<ConsumerConfig>;
}

/**
 * Creates the durable consumer of a source, or updates it to what is declared here.
 *
 * @throws Error that names the fields in which the server's consumer still differs
 */
export async function declareConsumer({ manager }: Pick<Session, "manager">, source: Source): Promise<void> {
  const { stream, durable } = source;
  const wanted = declared(source);
  const found = await configOf(manager, source);
  if (found !== undefined && differences(wanted, found).length === 0) return;
  if (found === undefined) await manager.consumers.add(stream, wanted);
  else await manager.consumers.update(stream, durable, wanted);
  const { config } = await manager.consumers.info(stream, durable);
  const differing = differences(wanted, config);
  if (differing.length > 0) throw new Error(`consumer ${durable} is not as declared: ${differing.join(", ")}`);
}

async function configOf(manager: JetStreamManager, { stream, durable }: Source): Promise<ConsumerConfig | undefined> {
  try {
    return (await manager.consumers.info(stream, durable)).config;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === NO_CONSUMER) return undefined;
    throw error;
  }
}

/** Reads the lag of sources. @throws Error if NATS does not answer, or has no such consumer */
export async function readLag({ manager }: Session, sources: readonly Source[], nowMs: number): Promise<ConsumerLag> {
  const lags = await Promise.all(
    sources.map(async (source) => {
      const { num_pending, num_ack_pending } = await manager.consumers.info(source.stream, source.durable);
      const pendingMessages = num_pending + num_ack_pending;
      const oldest = pendingMessages === 0 ? undefined : await firstUnacknowledged(manager, source);
      return { pendingMessages, oldestMs: oldest === undefined ? 0 : Math.max(0, nowMs - oldest.time.getTime()) };
    }),
  );
  return {
    pendingMessages: lags.reduce((sum, { pendingMessages }) => sum + pendingMessages, 0),
    oldestMs: Math.max(0, ...lags.map(({ oldestMs }) => oldestMs)),
  };
}

/** Finds the first message of a source that is not acknowledged; undefined if there is none. */
export async function firstUnacknowledged(
  manager: JetStreamManager,
  { stream, subject, durable }: Source,
): Promise<{ readonly seq: number; readonly time: Date } | undefined> {
  const { ack_floor } = await manager.consumers.info(stream, durable);
  const next = { seq: ack_floor.stream_seq + 1, next_by_subj: subject };
  try {
    return await manager.streams.getMessage(stream, next);
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === NO_MESSAGE) return undefined;
    throw error;
  }
}

/**
 * Finds the sequence number of a stream up to which none of its sources has an unacknowledged message.
 *
 * @param lastSequence last number of the stream before the sources are read: later messages are not judged
 */
export async function floorOf(
  manager: JetStreamManager,
  sources: readonly Source[],
  lastSequence: number,
): Promise<number> {
  const open = await Promise.all(sources.map((source) => firstUnacknowledged(manager, source)));
  return Math.min(lastSequence, ...open.map((message) => (message === undefined ? Infinity : message.seq - 1)));
}
