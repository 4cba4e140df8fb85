import { type Msg, nanos, type NatsConnection, type Subscription } from "nats";
import { type Delivery, toDelivery } from "./delivery.ts";
import type { Session } from "./connection.ts";

/** How long one request for messages stays open at the server. */
const EXPIRES_MS = 20_000;
const HEARTBEAT_MS = 2_000;
/** After this many heartbeats without a word the request is taken for lost. */
const MISSED_HEARTBEATS = 3;

/**
 * Messages of a durable consumer, as they come. One request for `batch` messages is open at a time, and the next is made
 * when it is used up and there is room: so at most 2 x `batch` messages are held here, and while one batch is worked on the
 * next arrives.
 */
export class Pull {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #batch: number;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #watchdog: NodeJS.Timeout;
  #held: Delivery[] = [];
  /** How many messages the open request may still bring; 0 if none is open. */
  #awaited = 0;
  #heardAt = performance.now();
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
    void connection.closed().then(() => this.#fail(new Error("the connection to NATS is gone")));
    this.#watchdog = setInterval(() => this.#watch(), HEARTBEAT_MS);
    this.#request();
  }

  /**
   * Up to `batch` messages: those that are here, or the first to come. Empty once `stopped`.
   *
   * @throws Error if the server is gone, silent, or does not know the consumer: the pull is of no more use then
   */
  async take(stopped: AbortSignal): Promise<readonly Delivery[]> {
    while (this.#held.length === 0) {
      if (this.#fault !== undefined) throw this.#fault;
      if (stopped.aborted) return [];
      const onAbort = (): void => this.#changed.resolve();
      stopped.addEventListener("abort", onAbort, { once: true });
      await this.#changed.promise;
      stopped.removeEventListener("abort", onAbort);
      this.#changed = Promise.withResolvers<void>();
    }
    const taken = this.#held.splice(0, this.#batch);
    this.#request();
    return taken;
  }

  /** Gives back what was not taken. */
  stop(): void {
    clearInterval(this.#watchdog);
    this.#fail(new Error("stopped"));
    if (this.#connection.isClosed()) return;
    this.#subscription.unsubscribe();
    for (const delivery of this.#held.splice(0)) delivery.nak(0);
  }

  #request(): void {
    if (this.#awaited > 0 || this.#held.length >= this.#batch || this.#fault !== undefined) return;
    this.#awaited = this.#batch;
    this.#heardAt = performance.now();
    const request = { batch: this.#batch, expires: nanos(EXPIRES_MS), idle_heartbeat: nanos(HEARTBEAT_MS) };
    this.#connection.publish(this.#subject, JSON.stringify(request), { reply: this.#inbox });
  }

  #receive(message: Msg): void {
    this.#heardAt = performance.now();
    const status = message.headers?.code ?? 0;
    if (status === 100) return;
    if (status === 503) return this.#fail(new Error("JetStream does not answer"));
    if (status === 409 && /deleted/i.test(message.headers?.description ?? "")) {
      return this.#fail(new Error("the consumer was deleted"));
    }
    // Any other status ends the request: it expired, or the server asks to be asked again.
    if (status > 0) {
      this.#awaited = 0;
    } else {
      this.#awaited--;
      this.#held.push(toDelivery(message));
      this.#changed.resolve();
    }
    this.#request();
  }

  #watch(): void {
    const silent = performance.now() - this.#heardAt > MISSED_HEARTBEATS * HEARTBEAT_MS;
    if (this.#awaited > 0 && silent) this.#fail(new Error("heartbeats of the consumer are missing"));
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    clearInterval(this.#watchdog);
    this.#changed.resolve();
  }
}
