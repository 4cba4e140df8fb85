import { type Msg, nanos, type NatsConnection, type Subscription } from "nats";
import type { Session } from "./connection.ts";
import { type Delivery, toDelivery } from "./delivery.ts";
import type { Source } from "./jetstream-consumer.ts";

/** Time that one request for messages stays open at the server. */
const EXPIRES_MS = 20_000;
const HEARTBEAT_MS = 2_000;
/** Number of missed heartbeats after which the request counts as lost. */
const MAX_MISSED_HEARTBEATS = 3;

/** Upper bound of the bytes that one request can bring. Larger than any message that NATS accepts (1 MiB by default). */
const MAX_REQUEST_BYTES = 2 * 1024 ** 2;

/**
 * Messages of a durable consumer, as they arrive. One request for up to `batch` messages and 2 MiB is open at a time. The next request is
 * made once the open one is used up and less than that is buffered. So at most twice as much is buffered, and messages arrive while others
 * are handled.
 */
export class Pull {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #batch: number;
  readonly #inbox: string;
  readonly #onChange: () => void;
  readonly #subscription: Subscription;
  readonly #watchdog: NodeJS.Timeout;
  #buffered: Delivery[] = [];
  #bufferedBytes = 0;
  /** Number of messages that the open request can still bring; 0 if none is open. */
  #requested = 0;
  #lastHeardAt = performance.now();
  #fault: Error | undefined;

  /** @param onChange called when a message has arrived, or the pull has become unusable */
  constructor(session: Session, { stream, durable }: Source, batch: number, onChange: () => void) {
    const { connection } = session;
    this.#connection = connection;
    this.#inbox = session.newInbox();
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    this.#batch = batch;
    this.#onChange = onChange;
    this.#subscription = connection.subscribe(this.#inbox, {
      callback: (error, message) => (error === null ? this.#receive(message) : this.#fail(error)),
    });
    void connection.closed().then(() => this.#fail(new Error("the connection to NATS is closed")));
    this.#watchdog = setInterval(() => this.#checkHeartbeat(), HEARTBEAT_MS);
    this.#request();
  }

  /** Number of buffered messages, and their bytes. */
  get buffered(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#buffered.length, bytes: this.#bufferedBytes };
  }

  /**
   * Takes buffered messages, the oldest first: up to `maxMessages`, and up to `maxBytes` unless the first alone is larger.
   *
   * @throws Error if none is buffered and the connection is closed, the server is silent or does not know the consumer. The
   * pull is unusable then
   */
  take(maxMessages: number, maxBytes: number): readonly Delivery[] {
    if (this.#buffered.length === 0 && this.#fault !== undefined) throw this.#fault;
    let bytes = 0;
    const tooMuch = this.#buffered.findIndex(({ payload }, index) => {
      bytes += payload.length;
      return index >= maxMessages || (index > 0 && bytes > maxBytes);
    });
    const taken = this.#buffered.splice(0, tooMuch === -1 ? this.#buffered.length : tooMuch);
    this.#bufferedBytes -= taken.reduce((sum, { payload }) => sum + payload.length, 0);
    this.#request();
    return taken;
  }

  /** Ends the pull. Messages that were not taken go back to the server. */
  stop(): void {
    clearInterval(this.#watchdog);
    this.#fail(new Error("stopped"));
    if (this.#connection.isClosed()) return;
    this.#subscription.unsubscribe();
    for (const delivery of this.#buffered.splice(0)) delivery.nak(0);
  }

  #request(): void {
    const isFull = this.#buffered.length >= this.#batch || this.#bufferedBytes >= MAX_REQUEST_BYTES;
    if (this.#requested > 0 || isFull || this.#fault !== undefined) return;
    this.#requested = this.#batch;
    this.#lastHeardAt = performance.now();
    const request = {
      batch: this.#batch,
      max_bytes: MAX_REQUEST_BYTES,
      expires: nanos(EXPIRES_MS),
      idle_heartbeat: nanos(HEARTBEAT_MS),
    };
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
      this.#bufferedBytes += message.data.length;
      this.#onChange();
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
    this.#onChange();
  }
}
