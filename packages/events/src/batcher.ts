import { randomUUID } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";

/** An encoded event and whoever waits for it to be durable. */
export interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** Set once `resolve` or `reject` was called. */
  done: boolean;
}

/** Events that travel as one message, under an id by which the server knows a repetition. */
export interface Batch {
  readonly id: string;
  readonly payload: Uint8Array;
  readonly waiting: readonly Waiting[];
  /** The batch to try again: this one; a smaller one without events that were given up; undefined if none is left. */
  withoutGivenUp(): Batch | undefined;
}

/** Acknowledgement is what costs, so events share messages: up to this many, or what comes within the linger time. */
const MAX_EVENTS = 100;
const MAX_BYTES = 256 * 1024;
const LINGER_MS = 2;
/** Messages without an acknowledgement at a time; what comes meanwhile makes the next messages fuller. */
const MAX_IN_FLIGHT = 16;

const EVENTS_FIELD = UsageEventBatchSchema.field.events.number;

/** Collects events into batches and hands these to `deliver`, a bounded number at a time. */
export class Batcher {
  readonly #deliver: (batch: Batch) => Promise<void>;
  readonly #all = new Set<Waiting>();
  #queue: Waiting[] = [];
  #inFlight = 0;
  #linger: NodeJS.Timeout | undefined;
  #empty = Promise.withResolvers<void>();
  #bytes = 0;
  #closed = false;

  /** @param deliver settles every event of the batch, or leaves it to be rejected by its time-out; never rejects */
  constructor(deliver: (batch: Batch) => Promise<void>) {
    this.#deliver = deliver;
  }

  get events(): number {
    return this.#all.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the event is durable. Rejects with `onTimeout()` after `timeoutMs`, if one is given. */
  add(bytes: Uint8Array, timeoutMs: number | undefined, onTimeout: () => Error): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const settle = (then: () => void): void => {
      if (waiting.done) return;
      waiting.done = true;
      clearTimeout(timer);
      this.#all.delete(waiting);
      this.#bytes -= bytes.length;
      if (this.#all.size === 0) this.#empty.resolve();
      then();
    };
    const waiting: Waiting = {
      bytes,
      done: false,
      resolve: () => settle(resolve),
      reject: (error) => settle(() => reject(error)),
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => waiting.reject(onTimeout()), timeoutMs);
    this.#all.add(waiting);
    this.#bytes += bytes.length;
    this.#queue.push(waiting);
    if (this.#queue.length >= MAX_EVENTS) this.#pump();
    else this.#linger ??= setTimeout(() => this.#pump(), LINGER_MS);
    return promise;
  }

  /** Takes no more; resolves with whether all was delivered within `timeoutMs`. */
  async close(timeoutMs: number): Promise<boolean> {
    this.#closed = true;
    this.#pump();
    if (this.#all.size === 0) return true;
    this.#empty = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#empty.resolve(), timeoutMs);
    await this.#empty.promise;
    clearTimeout(timer);
    return this.#all.size === 0;
  }

  rejectAll(error: Error): void {
    for (const waiting of this.#all) waiting.reject(error);
  }

  #pump(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    while (this.#queue.length > 0 && this.#inFlight < MAX_IN_FLIGHT) {
      const batch = toBatch(this.#take());
      if (batch === undefined) continue;
      this.#inFlight++;
      void this.#deliver(batch).finally(() => {
        this.#inFlight--;
        // While a linger runs the queue is still filling; without one it has waited for this place.
        if (this.#linger === undefined || this.#queue.length >= MAX_EVENTS) this.#pump();
      });
    }
  }

  #take(): Waiting[] {
    let bytes = 0;
    const end = this.#queue.findIndex(({ bytes: { length } }, index) => {
      bytes += length;
      return index > 0 && (index === MAX_EVENTS || bytes > MAX_BYTES);
    });
    return this.#queue.splice(0, end === -1 ? this.#queue.length : end);
  }
}

/** A batch of those that are still waited for; undefined if there are none. */
function toBatch(candidates: readonly Waiting[]): Batch | undefined {
  const waiting = candidates.filter(({ done }) => !done);
  if (waiting.length === 0) return undefined;
  const batch: Batch = {
    id: randomUUID(),
    payload: encode(waiting),
    waiting,
    withoutGivenUp: () => (waiting.some(({ done }) => done) ? toBatch(waiting) : batch),
  };
  return batch;
}

/** A UsageEventBatch from events that are encoded already: protobuf concatenates. */
function encode(waiting: readonly Waiting[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const { bytes } of waiting) writer.tag(EVENTS_FIELD, WireType.LengthDelimited).bytes(bytes);
  return writer.finish();
}
