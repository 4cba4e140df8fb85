import { randomUUID } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { UsageEventBatchSchema } from "@routeplane/contracts/events";
import type { Logger } from "@routeplane/runtime";
import type { Spool } from "./spool/spool.ts";
import type { EventBatch } from "./spool/event-batch.ts";
import { type NatsConnection, wait } from "./connection.ts";
import { STREAM, SUBJECT } from "./stream.ts";

/** Acknowledgement is what costs, so events share messages: up to this many, or what comes within the linger time. */
const MAX_EVENTS = 100;
const MAX_BYTES = 256 * 1024;
const LINGER_MS = 2;
/** Messages without an acknowledgement at a time; what comes meanwhile makes the next messages fuller. */
const MAX_IN_FLIGHT = 16;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

const EVENTS_FIELD = UsageEventBatchSchema.field.events.number;

export interface SenderOptions {
  readonly spool: Spool;
  readonly connection: NatsConnection;
  readonly log: Logger;
  /** The server has the events from one place to another. */
  readonly onAcknowledged: (place: number, last: number) => void;
  /** An attempt failed: NATS is away, silent, or refuses. */
  readonly onFailure: () => void;
}

/** Sends what the journal holds, in its order, each message until it is acknowledged. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #inFlight = 0;
  #unspooled = 0;
  #recordedSinceBatch = 0;
  #failing = false;
  #linger: NodeJS.Timeout | undefined;
  #awake = Promise.withResolvers<void>();
  #idle = Promise.withResolvers<void>();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Whether the last attempt failed. */
  get isFailing(): boolean {
    return this.#failing;
  }

  /** Something was recorded. */
  notify(): void {
    if (++this.#recordedSinceBatch >= MAX_EVENTS) this.#wake();
    else this.#linger ??= setTimeout(() => this.#wake(), LINGER_MS);
  }

  /** An event that could not be recorded: sent all the same, and lost only if this process ends before. */
  sendUnspooled(event: Uint8Array): void {
    this.#unspooled++;
    void this.#deliverUnspooled(event);
  }

  /** Stops once all is acknowledged, or after `timeoutMs`. @returns how many events are lost with this process */
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
        await this.#awake.promise;
        this.#awake = Promise.withResolvers<void>();
        continue;
      }
      this.#idle = Promise.withResolvers<void>();
      void this.#deliver(batch);
    }
  }

  #wake(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#awake.resolve();
  }

  async #deliver(batch: EventBatch): Promise<void> {
    this.#inFlight++;
    const { spool, onAcknowledged } = this.#options;
    if (await this.#send(batch)) {
      spool.acknowledge(batch);
      onAcknowledged(batch.first, batch.last);
    }
    // While a linger runs the next message is still filling; without one, or with none free, it has waited for this place.
    if (this.#inFlight-- === MAX_IN_FLIGHT || this.#linger === undefined) this.#wake();
  }

  async #deliverUnspooled(event: Uint8Array): Promise<void> {
    if (await this.#send({ id: randomUUID(), payloads: [event] })) this.#unspooled--;
    this.#wake();
  }

  /** Until it is acknowledged, under one message id. @returns false if it was not when this stopped */
  async #send({ id, payloads }: Pick<EventBatch, "id" | "payloads">): Promise<boolean> {
    const { connection, log, onFailure } = this.#options;
    const message = encode(payloads);
    for (let attempt = 0; !this.#stopping.signal.aborted; attempt++) {
      try {
        const session = connection.session();
        if (session === undefined) throw new Error("no connection to NATS");
        await session.jetstream.publish(SUBJECT, message, { msgID: id, expect: { streamName: STREAM } });
        this.#failing = false;
        return true;
      } catch (error) {
        this.#failing = true;
        onFailure();
        if (attempt % 30 === 0) log.warn({ err: error, events: payloads.length, attempt }, "usage events wait");
      }
      await wait(Math.min(MIN_RETRY_MS * 2 ** Math.min(attempt, 6), MAX_RETRY_MS), this.#stopping.signal);
      await connection.untilConnected(MAX_RETRY_MS);
    }
    return false;
  }
}

/** A UsageEventBatch from events that are encoded already: protobuf concatenates. */
function encode(events: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const bytes of events) writer.tag(EVENTS_FIELD, WireType.LengthDelimited).bytes(bytes);
  return writer.finish();
}
