import type { Logger } from "@routeplane/runtime";
import { wait } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import type { PostponedEvents } from "./postponed-events.ts";

const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;

export interface EventHandlers<Event> {
  /** Decodes the events of one message; undefined if it is not a batch of events. */
  readonly read: (payload: Uint8Array) => readonly Event[] | undefined;
  /**
   * Handles the events of up to `batch` messages, all or none. They are acknowledged after it resolves; if it rejects they
   * are delivered again later. Must give the same result for any order and repetition of events.
   */
  readonly onBatch: (events: readonly Event[]) => Promise<void>;
  /**
   * Stores a message that is not a batch of events. It is acknowledged after this resolves; if it rejects, the message is delivered again
   * with all others of its batch.
   */
  readonly onUnreadable: (payload: Uint8Array) => Promise<void>;
}

export interface HandleOptions<Event> extends EventHandlers<Event> {
  readonly log: Logger;
  readonly postponed: PostponedEvents<Event>;
  /** False if no event may wait for another. */
  readonly mayWait: boolean;
}

/** Handles and acknowledges messages. @returns those that must be delivered again */
export async function handleMessages<Event>(
  deliveries: readonly Delivery[],
  { onBatch, onUnreadable, read, log, postponed, mayWait }: HandleOptions<Event>,
): Promise<readonly Delivery[]> {
  const decoded = deliveries.map((delivery) => ({ delivery, events: read(delivery.payload) }));
  const unreadable = decoded.filter((message) => message.events === undefined);
  const messages = decoded.map(({ delivery, events = [] }) => ({ delivery, events }));
  const batch = postponed.take(messages, mayWait);
  try {
    for (const { delivery } of unreadable) await onUnreadable(delivery.payload);
    if (batch.events.length > 0) await onBatch(batch.events);
  } catch (error) {
    log.error({ err: error, events: batch.events.length }, "usage events not stored");
    return postponed.giveUp(batch);
  }
  for (const { delivery } of unreadable) {
    log.error({ sequence: delivery.sequence }, "message without a batch of usage events set aside");
  }
  postponed.acknowledge(batch);
  return [];
}

/** Returns unhandled messages to the server, which delivers them again after a delay, and waits for the same delay. */
export async function retryLater(deliveries: readonly Delivery[], failures: number, log: Logger, ended: AbortSignal) {
  const backoffMs = Math.min(MIN_BACKOFF_MS * 2 ** (failures - 1), MAX_BACKOFF_MS);
  for (const delivery of deliveries) delivery.nak(backoffMs);
  log.warn({ messages: deliveries.length, backoffMs }, "storing usage events failed; retrying");
  await wait(backoffMs, ended);
}
