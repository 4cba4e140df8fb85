import type { Delivery } from "./delivery.ts";

/** Time after which the first event of a request no longer waits for the last. */
const MAX_WAIT_MS = 250;
/** Maximum number of events that wait; beyond it the oldest no longer do. */
const MAX_WAITING = 2_000;

/** Place of an event among those of its request. */
export interface EventPlace {
  /** Name of the request, the same in all of its events. */
  readonly request: string;
  readonly place: "first" | "last";
}

/** Message whose events are being handled, or wait. */
export interface OpenMessage<Event> {
  readonly delivery: Delivery;
  readonly events: readonly Event[];
}

/** Events that are handled together, and the messages that they are of. */
interface Batch<Event> {
  readonly events: readonly Event[];
  readonly messages: ReadonlySet<OpenMessage<Event>>;
}

/**
 * First events of requests that wait a moment for the last ones, so that both are handled in one batch: inserting a row costs half as much
 * as inserting and updating it. A postponed event is handled as if it had arrived later. Its message is acknowledged once all of its events
 * are handled, so that a kill loses nothing.
 */
export class PostponedEvents<Event> {
  readonly #placeOf: (event: Event) => EventPlace | undefined;
  readonly #waiting = new Map<string, { readonly event: Event; readonly message: OpenMessage<Event>; dueAt: number }>();

  readonly #monotonic: () => number;

  /** @param placeOf returns undefined for an event that never waits */
  constructor(placeOf: (event: Event) => EventPlace | undefined, monotonic: () => number = () => performance.now()) {
    this.#placeOf = placeOf;
    this.#monotonic = monotonic;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Time until the next event no longer waits; undefined if none does. */
  dueInMs(): number | undefined {
    const [oldest] = this.#waiting.values();
    return oldest && Math.max(0, oldest.dueAt - this.#monotonic());
  }

  /**
   * Takes the events to handle now: those of `messages` that do not have to wait, and earlier ones whose wait is over.
   *
   * @param mayWait false if no event may wait
   */
  take(messages: readonly OpenMessage<Event>[], mayWait: boolean): Batch<Event> {
    const batch = { events: [] as Event[], messages: new Set(messages) };
    const now = this.#monotonic();
    for (const message of messages) this.#sort(message, mayWait ? now + MAX_WAIT_MS : undefined, batch);
    for (const [request, { dueAt }] of this.#waiting) {
      if (mayWait && dueAt > now && this.#waiting.size <= MAX_WAITING) break;
      this.#end(request, batch);
    }
    return batch;
  }

  /** Acknowledges the messages of a batch that was handled, but for those of which events wait. */
  acknowledge({ messages }: Batch<Event>): void {
    const open = this.#open();
    for (const message of messages) if (!open.has(message)) message.delivery.ack();
  }

  /** Ends all waits without handling the events. @returns the deliveries of this batch and of those that waited */
  giveUp({ messages }: Batch<Event>): readonly Delivery[] {
    const all = new Set([...messages, ...this.#open()]);
    this.#waiting.clear();
    return [...all].map(({ delivery }) => delivery);
  }

  #sort(
    message: OpenMessage<Event>,
    dueAt: number | undefined,
    batch: { events: Event[]; messages: Set<OpenMessage<Event>> },
  ) {
    for (const event of message.events) {
      const { request, place } = this.#placeOf(event) ?? {};
      // A redelivered event has waited long enough.
      const waits = dueAt !== undefined && place === "first" && message.delivery.attempt === 1;
      if (request !== undefined && waits && !this.#waiting.has(request)) {
        this.#waiting.set(request, { event, message, dueAt });
        continue;
      }
      if (request !== undefined && place === "last") this.#end(request, batch);
      batch.events.push(event);
    }
  }

  #end(request: string, batch: { events: Event[]; messages: Set<OpenMessage<Event>> }): void {
    const waiting = this.#waiting.get(request);
    if (waiting === undefined) return;
    this.#waiting.delete(request);
    batch.events.push(waiting.event);
    batch.messages.add(waiting.message);
  }

  #open(): ReadonlySet<OpenMessage<Event>> {
    return new Set([...this.#waiting.values()].map(({ message }) => message));
  }
}
