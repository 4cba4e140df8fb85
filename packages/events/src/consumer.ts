import type { Component } from "@routeplane/runtime";
import { type ConnectionOptions, type NatsConnection, openConnection, type Session, wait } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import {
  type ConsumerLag,
  declareConsumer,
  type JetStreamConsumerOptions,
  readLag,
  trimAcknowledged,
} from "./jetstream-consumer.ts";
import { Pull } from "./pull.ts";
import { STREAM, updateStream } from "./stream.ts";

export interface EventConsumerOptions<Event> extends ConnectionOptions, JetStreamConsumerOptions {
  /** Decodes the events of one message; undefined if it is no batch of events. */
  readonly read: (payload: Uint8Array) => readonly Event[] | undefined;
  /**
   * Handles the events of up to `batch` messages, all or none. They are acknowledged after it resolves; if it rejects they
   * are delivered again later. Must give the same result for any order and repetition of events.
   */
  readonly onBatch: (events: readonly Event[]) => Promise<void>;
  /**
   * Stores a message that is no batch of events. It is acknowledged after this resolves; if it rejects, the message is
   * delivered again with all others of its batch.
   */
  readonly onUnreadable: (payload: Uint8Array) => Promise<void>;
}

export interface EventConsumer extends Component {
  /** Resolves to true if NATS answers now. */
  isReachable(): Promise<boolean>;
  /** Reads the lag of all processes that share the consumer; undefined while NATS does not answer. */
  lag(): Promise<ConsumerLag | undefined>;
  /** Finishes the batch that is being handled, and returns messages that were only fetched. */
  stop(): Promise<void>;
}

const CONNECT_WAIT_MS = 1_000;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;

/** Opens a consumer that connects, and reconnects, in the background for ever, and handles one batch at a time. */
export function openConsumer<Event>(options: EventConsumerOptions<Event>): EventConsumer {
  const stopped = new AbortController();
  const connection = openConnection(options, async (session) => {
    await updateStream(session, options);
    await declareConsumer(session, options);
  });
  const consuming = consumeForEver(connection, options, stopped.signal);
  const trimming = trimAcknowledged(() => connection.session(), options, stopped.signal);
  return {
    name: `event consumer ${options.name}`,
    isReachable: () => connection.isReachable(),
    async lag() {
      const session = connection.session();
      return session && readLag(session, options.durable, Date.now()).catch(() => undefined);
    },
    async stop() {
      stopped.abort();
      await Promise.all([consuming, trimming]);
      await connection.stop();
    },
  };
}

async function consumeForEver<Event>(
  connection: NatsConnection,
  options: EventConsumerOptions<Event>,
  stopped: AbortSignal,
): Promise<void> {
  while (!stopped.aborted) {
    const session = await connection.untilConnected(CONNECT_WAIT_MS);
    if (session === undefined) continue;
    try {
      await consumeSession(session, options, stopped);
    } catch (error) {
      options.log.warn({ err: error }, "pull of usage events failed; reconnecting");
      // A new session declares stream and consumer again, in case one of them was deleted.
      await session.connection.close();
      await wait(MIN_BACKOFF_MS, stopped);
    }
  }
}

async function consumeSession<Event>(
  session: Session,
  options: EventConsumerOptions<Event>,
  stopped: AbortSignal,
): Promise<void> {
  const { durable, batch, log } = options;
  const pull = new Pull(session, { stream: STREAM, durable, batch });
  let failures = 0;
  try {
    while (!stopped.aborted) {
      const deliveries = await pull.take(stopped);
      if (await handle(deliveries, options)) {
        failures = 0;
        continue;
      }
      const backoffMs = Math.min(MIN_BACKOFF_MS * 2 ** failures++, MAX_BACKOFF_MS);
      for (const delivery of deliveries) delivery.nak(backoffMs);
      log.warn({ messages: deliveries.length, backoffMs }, "retrying a batch of usage events later");
      await wait(backoffMs, stopped);
    }
  } finally {
    pull.stop();
  }
}

/** Handles and acknowledges messages. @returns false if they must be delivered again */
async function handle<Event>(deliveries: readonly Delivery[], options: EventConsumerOptions<Event>): Promise<boolean> {
  const { onBatch, onUnreadable, log } = options;
  const decoded = deliveries.map((delivery) => ({ delivery, events: options.read(delivery.payload) }));
  const events = decoded.flatMap((message) => message.events ?? []);
  const unreadable = decoded.filter((message) => message.events === undefined);
  try {
    for (const { delivery } of unreadable) await onUnreadable(delivery.payload);
    if (events.length > 0) await onBatch(events);
  } catch (error) {
    log.error({ err: error, events: events.length }, "usage events were not handled");
    return false;
  }
  for (const { delivery } of unreadable) {
    log.error({ sequence: delivery.sequence }, "set aside a message that is no batch of usage events");
  }
  for (const { delivery } of decoded) delivery.ack();
  return true;
}
