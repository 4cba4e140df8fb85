import type { Component } from "@routeplane/runtime";
import type { Delivery } from "./delivery.ts";
import { declareConsumer, type JetStreamConsumerOptions, trimAcknowledged } from "./jetstream-consumer.ts";
import { type ConsumerLag, lagOf } from "./lag.ts";
import { type NatsConnection, type ConnectionOptions, openConnection, type Session, wait } from "./connection.ts";
import { Pull } from "./pull.ts";
import { STREAM, updateStream } from "./stream.ts";

export interface EventConsumerOptions<Event> extends ConnectionOptions, JetStreamConsumerOptions {
  /** The events of one message, as `onBatch` wants them; undefined if it is no batch of events. */
  readonly read: (payload: Uint8Array) => readonly Event[] | undefined;
  /**
   * Handles the events of up to `batch` messages, all or none. They are acknowledged after it resolves; if it rejects they
   * come again, later. Must give the same result for any order and repetition of events.
   */
  readonly onBatch: (events: readonly Event[]) => Promise<void>;
  /**
   * Keeps a message that is no batch of events, which nothing could ever read. It is taken out of the way after this resolves;
   * if it rejects, it comes again with all others.
   */
  readonly onUnreadable: (payload: Uint8Array) => Promise<void>;
}

export interface EventConsumer extends Component {
  /** Whether NATS answers now. */
  isReachable(): Promise<boolean>;
  /** How far behind it is, with all others that share it; undefined while that cannot be known. */
  lag(): Promise<ConsumerLag | undefined>;
  /** Finishes the batch in hand, and gives back what was only fetched. */
  stop(): Promise<void>;
}

const UP_TIMEOUT_MS = 1_000;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;

/** Returns at once; connects, and reconnects, in the background for ever, and handles batches one after the other. */
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
      return session && lagOf(session, options.durable, Date.now()).catch(() => undefined);
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
    const session = await connection.untilConnected(UP_TIMEOUT_MS);
    if (session === undefined) continue;
    try {
      await consumeSession(session, options, stopped);
    } catch (error) {
      options.log.warn({ err: error }, "the pull of usage events broke; connecting anew");
      // A new session declares stream and consumer again, in case it was these that went missing.
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
      log.warn({ messages: deliveries.length, backoffMs }, "usage events come again later");
      await wait(backoffMs, stopped);
    }
  } finally {
    pull.stop();
  }
}

/** Whether all of it was handled. */
async function handle<Event>(deliveries: readonly Delivery[], options: EventConsumerOptions<Event>): Promise<boolean> {
  const { onBatch, onUnreadable, log } = options;
  const read = deliveries.map((delivery) => ({ delivery, events: options.read(delivery.payload) }));
  const events = read.flatMap((each) => each.events ?? []);
  const unreadable = read.filter((each) => each.events === undefined);
  try {
    for (const { delivery } of unreadable) await onUnreadable(delivery.payload);
    if (events.length > 0) await onBatch(events);
  } catch (error) {
    log.error({ err: error, events: events.length }, "usage events were not handled");
    return false;
  }
  for (const { delivery } of unreadable) {
    log.error({ sequence: delivery.sequence }, "a message that is no batch of usage events was taken out of the way");
  }
  for (const { delivery } of read) delivery.ack();
  return true;
}
