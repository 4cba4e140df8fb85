import { type Msg, nanos, type NatsConnection, type Subscription } from "nats";
import type { Session } from "./connection.ts";
import { type Delivery, toDelivery } from "./delivery.ts";

/** Time that one request for messages stays open at the server. */
const EXPIRES_MS = 20_000;
const HEARTBEAT_MS = 2_000;
/** Number of missed heartbeats after which the request counts as lost. */
const MAX_MISSED_HEARTBEATS = 3;

/**
 * Messages of a durable consumer, as they arrive. One request for `batch` messages is open at a time; the next one is made
 * when it is used up and fewer than `batch` messages are buffered. So at most 2 x `batch` messages are held here, and the
 * next batch arrives while one is handled.
 */
export class Pull {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #batch: number;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #watchdog: NodeJS.Timeout;
  #buffered: Delivery[] = [];
  /** Number of messages that the open request can still bring; 0 if none is open. */
  #requested = 0;
  #lastHeardAt = performance.now();
  #fault: Error | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(session: Session, consumer: { stream: string; durable: string; batch: number }) {
    const { connection } = session;
    this.#connection = connection;
    this.#inbox = session.newInbox();
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${consumer.stream}.${consumer.durable}`;
    this.#batch = consumer.batch;
    this.#subscription = connection.subscribe(this.#inbox, {
      callback: (error, message) => (error === null ? this.#receive(message) : this.#fail(error)),
    });
    void connection.closed().then(() => this.#fail(new Error("the connection to NATS is closed")));
    this.#watchdog = setInterval(() => this.#checkHeartbeat(), HEARTBEAT_MS);
    this.#request();
  }

  /**
   * Takes up to `batch` messages: those that are buffered, or the first to arrive. Empty once `stopped`.
   *
   * @throws Error if the connection is closed, the server is silent or does not know the consumer. The pull is unusable then
   */
  async take(stopped: AbortSignal): Promise<readonly Delivery[]> {
    while (this.#buffered.length === 0) {
      if (this.#fault !== undefined) throw this.#fault;
      if (stopped.aborted) return [];
      const onAbort = (): void => this.#changed.resolve();
      stopped.addEventListener("abort", onAbort, { once: true });
      await this.#changed.promise;
      stopped.removeEventListener("abort", onAbort);
      this.#changed = Promise.withResolvers<void>();
    }
    const taken = this.#buffered.splice(0, this.#batch);
    this.#request();
    return taken;
  }

  /** Ends the pull, and returns the messages that were not taken to the server. */
  stop(): void {
    clearInterval(this.#watchdog);
    this.#fail(new Error("stopped"));
    if (this.#connection.isClosed()) return;
    this.#subscription.unsubscribe();
    for (const delivery of this.#buffered.splice(0)) delivery.nak(0);
  }

  #request(): void {
    if (this.#requested > 0 || this.#buffered.length >= this.#batch || this.#fault !== undefined) return;
    this.#requested = this.#batch;
    this.#lastHeardAt = performance.now();
    const request = { batch: this.#batch, expires: nanos(EXPIRES_MS), idle_heartbeat: nanos(HEARTBEAT_MS) };
    this.#connection.publish(this.#subject, JSON.stringify(request), { reply: this.#inbox });
  }

  #receive(message: Msg): void {
    this.#lastHeardAt = performance.now();
    const status = message.headers?.code ?? 0;
    if (status === 100) return;
    if (status === 503) return this.#fail(new Error("JetStream does not answer"));
    if (status === 409 && /deleted/i.test(message.headers?.description ?? "")) {
      return this.#fail(new Error("the consumer was deleted"));
    }
    // Any other status ends the request: it has expired, or the server wants another one.
    if (status > 0) {
      this.#requested = 0;
    } else {
      this.#requested--;
      this.#buffered.push(toDelivery(message));
      this.#changed.resolve();
    }
    this.#request();
  }

  #checkHeartbeat(): void {
    const isSilent = performance.now() - this.#lastHeardAt > MAX_MISSED_HEARTBEATS * HEARTBEAT_MS;
    if (this.#requested > 0 && isSilent) this.#fail(new Error("heartbeats of the consumer are missing"));
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    clearInterval(this.#watchdog);
    this.#changed.resolve();
  }
}
