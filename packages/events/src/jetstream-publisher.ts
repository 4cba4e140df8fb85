import { headers, type Msg, type NatsConnection } from "nats";

/** Message to a stream. The server stores one of those with the same id, and acknowledges each. */
export interface StreamMessage {
  readonly stream: string;
  readonly subject: string;
  readonly id: string;
  readonly payload: Uint8Array;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timeout: NodeJS.Timeout;
}

/** Status of the server's answer if nobody takes a subject. */
const NO_RESPONDERS = 503;

/**
 * Publisher of messages to JetStream on one connection, with one subscription for all acknowledgements. The client's own
 * `publish` makes an error with a stack, a mux entry and four promises for each message, and took twice the CPU time.
 */
export class JetStreamPublisher {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #timeoutMs: number;
  readonly #waiters = new Map<string, Waiter>();
  #count = 0;
  #isSubscribed = false;

  /** @param inbox subject for answers, of this publisher alone */
  constructor(connection: NatsConnection, inbox: string, timeoutMs: number) {
    this.#connection = connection;
    this.#inbox = inbox;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once the server has stored the message. @throws Error if it refuses or does not answer in time, or the connection is lost */
  async publish({ stream, subject, id, payload }: StreamMessage): Promise<void> {
    this.#subscribe();
    const answers = `${this.#inbox}.${++this.#count}`;
    const fields = headers();
    fields.set("Nats-Msg-Id", id);
    fields.set("Nats-Expected-Stream", stream);
    this.#connection.publish(subject, payload, { headers: fields, reply: answers });
    await new Promise<void>((resolve, reject) => {
      const timeout = setTimeout(() => {
        this.#waiters.delete(answers);
        reject(new Error(`NATS did not acknowledge a message within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      this.#waiters.set(answers, { resolve, reject, timeout });
    });
  }

  #subscribe(): void {
    if (this.#isSubscribed) return;
    this.#isSubscribed = true;
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) this.#end(message.subject, faultOf(message));
      else this.#endAll(error);
    };
    this.#connection.subscribe(`${this.#inbox}.*`, { callback });
    void this.#connection.closed().then(() => this.#endAll(new Error("the connection to NATS is closed")));
  }

  #endAll(error: Error): void {
    for (const answers of this.#waiters.keys()) this.#end(answers, error);
  }

  /** Ends a wait. An answer to a wait that is already over is ignored. */
  #end(answers: string, fault: Error | undefined): void {
    const waiter = this.#waiters.get(answers);
    if (waiter === undefined) return;
    this.#waiters.delete(answers);
    clearTimeout(waiter.timeout);
    if (fault === undefined) waiter.resolve();
    else waiter.reject(fault);
  }
}

/** Answer of JetStream to a message. */
interface Acknowledgement {
  readonly stream?: string;
  readonly error?: { readonly description?: string };
}

function faultOf(message: Msg): Error | undefined {
  if (message.headers?.code === NO_RESPONDERS) return new Error("JetStream does not answer");
  try {
    const { stream, error } = JSON.parse(message.string()) as Acknowledgement;
    if (stream !== undefined && error === undefined) return undefined;
    return new Error(`JetStream refuses a message: ${error?.description ?? "no reason is given"}`);
  } catch (cause) {
    return new Error("JetStream's answer cannot be read", { cause });
  }
}
