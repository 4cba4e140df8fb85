import { randomUUID } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import type { Logger } from "@routeplane/runtime";
import type { Spool } from "./spool/spool.ts";
import type { EventBatch } from "./spool/event-batch.ts";
import { type NatsConnection, type Session, wait } from "./connection.ts";
import { byPartition, type PartitionedEvent } from "./partitions.ts";
import type { StreamLayout } from "./stream.ts";

/**
 * Bounds of a batch, which is one message for each partition that its events are of. Events share messages because messages and
 * their acknowledgements are what costs: up to these, or all until one has waited for its time.
 */
const MAX_EVENTS = 400;
const MAX_BYTES = 256 * 1024;
/**
 * Longest time that an event waits for others: one whose commit a request waits for, while a batch is under way, and one that nobody
 * waits for. Without a batch under way the former leaves at the end of the turn of the event loop: acknowledgements clock the
 * batches, so that an idle node adds no latency, and a busy one sends fewer messages than one every 2 ms, as it did.
 */
const AWAITED_LINGER_MS = 4;
const LINGER_MS = 20;
/**
 * Time between batches of a busy process: one whose awaited events come closer together than `BUSY_GAP_MS` on average. A message and
 * its acknowledgement take about 100 us of CPU, as much as recording a request does.
 */
const BUSY_SPACING_MS = 2;
const BUSY_GAP_MS = 1;
/** Longest gap that counts, and weight of a gap in the average. */
const MAX_GAP_MS = 20;
const GAP_WEIGHT = 1 / 16;
/** Upper bound of batches without an acknowledgement. Events that are recorded meanwhile fill the next ones. */
const MAX_IN_FLIGHT = 16;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

const EVENTS_FIELD = UsageEventBatchSchema.field.events.number;

export interface SenderOptions {
  readonly spool: Spool;
  readonly connection: NatsConnection;
  /** Returns the stream as the last connection found it; undefined before the first one. */
  readonly layout: () => StreamLayout | undefined;
  readonly log: Logger;
  /** Called when the server has acknowledged the events from `first` to `last`. */
  readonly onAcknowledged: (first: number, last: number) => void;
  /** Called when an attempt has failed: NATS is disconnected, silent, or refuses. */
  readonly onFailure: () => void;
}

/** Event that is sent from memory. */
export interface UnspooledEvent {
  readonly event: Uint8Array;
  readonly namespaceId: string;
  readonly onAcknowledged?: (() => void) | undefined;
}

/**
 * Sender of the spool's events, in the order of their offsets. Each batch is sent under one message id until it is
 * acknowledged; up to 16 are under way at a time, so that a batch that is tried again can arrive after the next one.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #inFlight = 0;
  #unspooled = 0;
  #recordedSinceBatch = 0;
  /** Average time between awaited events, and times of the last one and of the last batch, on the monotonic clock. */
  #meanGapMs = MAX_GAP_MS;
  #awaitedAt = 0;
  #sentAt = 0;
  #failing = false;
  #linger: NodeJS.Timeout | undefined;
  #isLingerOfAwaited = false;
  #awake = Promise.withResolvers<void>();
  #idle = Promise.withResolvers<void>();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** True if the last attempt failed. */
  get isFailing(): boolean {
    return this.#failing;
  }

  /**
   * Called after an event was recorded. Sends at once when a batch is full or, if it is awaited and none is under way, at the end of
   * the turn, or a little later on a busy process; otherwise after the linger time, with all that was recorded meanwhile.
   *
   * @param isAwaited true if a request waits until the event is acknowledged
   */
  notify(isAwaited: boolean): void {
    if (isAwaited) this.#noteGap();
    if (++this.#recordedSinceBatch >= MAX_EVENTS) return this.#wake();
    if (this.#linger !== undefined && (this.#isLingerOfAwaited || !isAwaited)) return;
    clearTimeout(this.#linger);
    this.#isLingerOfAwaited = isAwaited;
    this.#linger = setTimeout(() => this.#wake(), isAwaited ? AWAITED_LINGER_MS : LINGER_MS);
    if (isAwaited && this.#inFlight === 0) setImmediate(() => this.#wakeForAwaited());
  }

  /** Sends an event that could not be recorded. It is lost if this process ends before. */
  sendUnspooled({ event, namespaceId, onAcknowledged }: UnspooledEvent): void {
    this.#unspooled++;
    void this.#deliverUnspooled({ payload: event, namespaceId }, onAcknowledged);
  }

  /** Stops once all events are acknowledged, or after `timeoutMs`. @returns the number of events that are lost */
  async stop(timeoutMs: number): Promise<number> {
    this.#idle = Promise.withResolvers<void>();
    this.#wake();
    await Promise.race([this.#idle.promise, wait(timeoutMs, this.#stopping.signal)]);
    this.#stopping.abort();
    this.#wake();
    await this.#running;
    return this.#unspooled;
  }

  async #run(): Promise<void> {
    const { spool } = this.#options;
    while (!this.#stopping.signal.aborted) {
      this.#recordedSinceBatch = 0;
      const batch = this.#inFlight < MAX_IN_FLIGHT ? await spool.nextBatch(MAX_EVENTS, MAX_BYTES) : undefined;
      if (batch === undefined) {
        if (this.#inFlight + this.#unspooled === 0) this.#idle.resolve();
        const readAgainInMs = spool.readAgainInMs();
        const timer = readAgainInMs === undefined ? undefined : setTimeout(() => this.#wake(), readAgainInMs);
        await this.#awake.promise;
        clearTimeout(timer);
        this.#awake = Promise.withResolvers<void>();
        continue;
      }
      this.#idle = Promise.withResolvers<void>();
      void this.#deliver(batch);
    }
  }

  #wakeForAwaited(): void {
    if (this.#linger === undefined || !this.#isLingerOfAwaited) return;
    const pauseMs = this.#meanGapMs < BUSY_GAP_MS ? this.#sentAt + BUSY_SPACING_MS - performance.now() : 0;
    if (pauseMs <= 0) return this.#wake();
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => this.#wake(), pauseMs);
  }

  #noteGap(): void {
    const now = performance.now();
    this.#meanGapMs += (Math.min(now - this.#awaitedAt, MAX_GAP_MS) - this.#meanGapMs) * GAP_WEIGHT;
    this.#awaitedAt = now;
  }

  #wake(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#awake.resolve();
  }

  async #deliver(batch: EventBatch): Promise<void> {
    this.#inFlight++;
    this.#sentAt = performance.now();
    const { spool, onAcknowledged } = this.#options;
    if (await this.#send(batch.id, batch.events)) {
      spool.acknowledge(batch);
      onAcknowledged(batch.first, batch.last);
    }
    // While a linger runs, the next batch is still filling. Without one, or with all 16 under way, it waited for this one.
    if (this.#inFlight-- === MAX_IN_FLIGHT || this.#linger === undefined) this.#wake();
    else if (this.#inFlight === 0) this.#wakeForAwaited();
  }

  async #deliverUnspooled(event: PartitionedEvent, onAcknowledged: UnspooledEvent["onAcknowledged"]): Promise<void> {
    if (await this.#send(randomUUID(), [event])) {
      this.#unspooled--;
      onAcknowledged?.();
    }
    this.#wake();
  }

  /** Sends one batch until all its messages are acknowledged. @returns false if the sender stopped before */
  async #send(id: string, events: readonly PartitionedEvent[]): Promise<boolean> {
    const { connection, log, onFailure } = this.#options;
    for (let attempt = 0; !this.#stopping.signal.aborted; attempt++) {
      try {
        const session = connection.session();
        const layout = this.#options.layout();
        if (session === undefined || layout === undefined) throw new Error("no connection to NATS");
        await publish(session, layout, id, events);
        this.#failing = false;
        return true;
      } catch (error) {
        this.#failing = true;
        onFailure();
        if (attempt % 30 === 0)
          log.warn({ err: error, events: events.length, attempt }, "sending usage events failed; retrying");
      }
      await wait(Math.min(MIN_RETRY_MS * 2 ** Math.min(attempt, 6), MAX_RETRY_MS), this.#stopping.signal);
      await connection.untilConnected(MAX_RETRY_MS);
    }
    return false;
  }
}

/** Publishes a message to each partition that the events are of. Resolves once all of them are acknowledged. */
async function publish(
  { publisher }: Session,
  { stream, subjects }: StreamLayout,
  id: string,
  events: readonly PartitionedEvent[],
): Promise<void> {
  const published = Array.from(byPartition(events, subjects.length), ([partition, payloads]) =>
    publisher.publish({
      stream,
      subject: subjects[partition] ?? "",
      id: `${id}-${partition}`,
      payload: encode(payloads),
    }),
  );
  await Promise.all(published);
}

/** Writer of batches, one at a time: a new one would grow anew for each. */
const writer = new BinaryWriter();

/** Encodes a UsageEventBatch of events that are encoded already: repeated fields concatenate in protobuf. */
function encode(events: readonly Uint8Array[]): Uint8Array {
  for (const bytes of events) writer.tag(EVENTS_FIELD, WireType.LengthDelimited).bytes(bytes);
  return writer.finish();
}
