/**
 * One request to an upstream, over a pool of connections: the lowest layer of the HTTP client, without its streams.
 *
 * Architecture. The call is the handler that the HTTP client calls with the head, the pieces and the end of an answer, and the
 * iterable from which these pieces are read. A `Readable`, its async iterator and a signal of the client's own cost 60 us a request,
 * twice as much as everything here.
 *
 * Steps. `sendHttpCall` hands the request to the pool; `onRequestStart` comes when a connection is about to write it, and from then on the
 * upstream may have it; `onResponseStart` resolves with the head, or leaves that to the end of a small body; pieces queue up until they are
 * read; the connection is then free for the next request. A connection whose answer is not read to its end is destroyed, unless the end
 * comes within 100 ms: a new connection for each stream took a sixth of the work for it.
 *
 * Concurrency. One reader at a time. A connection is paused while 64 KiB wait, so that memory is bounded and an upstream is read at the
 * pace of its reader.
 *
 * Failures. Every wait is bounded by the client's time limits (connection, head, pause within a body), which end in
 * `onResponseError`. An aborted signal rejects at once, and destroys the connection. All errors are thrown as `UpstreamFault`.
 */
import { type Dispatcher, errors } from "undici";
import { UpstreamFault } from "../domain/ports/upstream.ts";
import type { CancelSignal } from "../domain/ports/cancel-signal.ts";

/** Request as the HTTP client takes it. */
export type HttpRequest = Omit<Dispatcher.DispatchOptions, "origin">;

/** Head of an answer, and its body. */
export interface HttpAnswer {
  readonly status: number;
  /** Headers by name in lower case. */
  readonly headers: Headers;
  /** Bytes as they are on the wire. Throws UpstreamFault where they break off. */
  readonly body: AsyncIterable<Uint8Array>;
  /** All bytes of a small body that has arrived whole and is not read yet; undefined for any other. */
  readonly whole: Buffer | undefined;
  /** Drops the rest of the body. One that does not end in a moment is ended with its connection. */
  discard(): void;
}

type Headers = Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>[2];
type Next = IteratorResult<Uint8Array, undefined>;

/** Number of bytes that wait to be read, from which on the connection is paused. */
const MAX_WAITING_BYTES = 64 * 1024;

/** Time and bytes in which a discarded body can end by itself: most streams send their end just after their last event. */
const DISCARD_MS = 100;
const DISCARD_BYTES = 16 * 1024;

/** Size up to which an answer is passed on once its body has arrived: its bytes then need no promises. */
const WHOLE_BYTES = 32 * 1024;

export interface HttpCallOptions {
  /** Ends the call once it is aborted. */
  readonly signal: CancelSignal;
  /** True if nothing is done with the answer before all of it is there, so that its head is not returned earlier. False by default. */
  readonly isReadWhole?: boolean;
}

/**
 * Sends a request. Resolves with the head of the answer, whatever its status; of a small success whose size is announced, or that is
 * read whole, once its body has arrived or broken off. The head of an error says enough, and its body may never come.
 *
 * @throws UpstreamFault
 */
export function sendHttpCall(
  pool: Pick<Dispatcher, "dispatch">,
  request: HttpRequest,
  options: HttpCallOptions,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    pool.dispatch(request, new HttpCall(options, resolve, reject));
  });
}

class HttpCall implements Dispatcher.DispatchHandler, HttpAnswer, AsyncIterator<Uint8Array, undefined> {
  status = 0;
  headers: Headers = {};
  readonly #signal: CancelSignal;
  readonly #isReadWhole: boolean;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (fault: UpstreamFault) => void;
  readonly #onAbort = (): void => this.#abort();
  #controller: Dispatcher.DispatchController | undefined;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isEnded = false;
  /** True while the head has arrived and the call resolves once the body has. */
  #isAwaited = false;
  #fault: UpstreamFault | undefined;
  /** Set from `discard` until the body has ended. */
  #discardTimer: NodeJS.Timeout | undefined;
  #discardedBytes = 0;
  /** Reader that waits for the next piece. */
  #reader: PromiseWithResolvers<Next> | undefined;

  constructor(
    { signal, isReadWhole = false }: HttpCallOptions,
    resolve: (answer: HttpAnswer) => void,
    reject: (fault: UpstreamFault) => void,
  ) {
    this.#signal = signal;
    this.#isReadWhole = isReadWhole;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal.aborted) this.#abort();
    else signal.addEventListener("abort", this.#onAbort);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // A request that was cancelled while it waited for its connection is not written.
    if (this.#fault !== undefined) controller.abort(this.#fault);
    else this.#controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // An interim answer.
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
    this.#isAwaited = status < 300 && this.#isSmall(headers["content-length"]);
    if (!this.#isAwaited) this.#resolve(this);
  }

  /** @param announced size of the body; undefined if the answer does not say it */
  #isSmall(announced: string | readonly string[] | undefined): boolean {
    return announced === undefined ? this.#isReadWhole : Number(announced) <= WHOLE_BYTES;
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#discardTimer !== undefined) {
      this.#discardedBytes += piece.length;
      if (this.#discardedBytes > DISCARD_BYTES) this.#endDiscarded();
      return;
    }
    if (this.#reader !== undefined) {
      this.#reader.resolve({ done: false, value: piece });
      this.#reader = undefined;
      return;
    }
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    if (this.#waitingBytes >= MAX_WAITING_BYTES) controller.pause();
    if (!this.#isAwaited || this.#waitingBytes <= WHOLE_BYTES) return;
    this.#isAwaited = false;
    this.#resolve(this);
  }

  onResponseEnd(): void {
    this.#isEnded = true;
    clearTimeout(this.#discardTimer);
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (this.#isAwaited) this.#resolve(this);
    else this.#reader?.resolve(END);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: unknown): void {
    this.#fail(this.#toFault(error));
  }

  get body(): AsyncIterable<Uint8Array> {
    return this;
  }

  get whole(): Buffer | undefined {
    if (!this.#isAwaited || !this.#isEnded || this.#waiting.length === 0) return undefined;
    return this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
  }

  discard(): void {
    // Setting the length takes 0.5 us, even if nothing waits.
    if (this.#waiting.length > 0) this.#waiting.length = 0;
    if (this.#isEnded || this.#fault !== undefined || this.#discardTimer !== undefined) return;
    this.#discardTimer = setTimeout(() => this.#endDiscarded(), DISCARD_MS);
    this.#controller?.resume();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Next> {
    const piece = this.#waiting.shift();
    if (piece !== undefined) {
      this.#waitingBytes -= piece.length;
      if (this.#waitingBytes < MAX_WAITING_BYTES) this.#controller?.resume();
      return Promise.resolve({ done: false, value: piece });
    }
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    if (this.#isEnded) return Promise.resolve(END);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  return(): Promise<Next> {
    this.discard();
    return Promise.resolve(END);
  }

  #endDiscarded(): void {
    this.#end(new UpstreamFault("broken", "the answer is not read"));
  }

  #abort(): void {
    this.#end(this.#toFault(this.#signal.reason));
  }

  #toFault(error: unknown): UpstreamFault {
    return this.#controller === undefined ? toConnectionFault(error) : toFault(error);
  }

  /** Fails, and destroys the connection. */
  #end(fault: UpstreamFault): void {
    this.#fail(fault);
    this.#controller?.abort(fault);
  }

  #fail(fault: UpstreamFault): void {
    if (this.#fault !== undefined || this.#isEnded) return;
    this.#fault = fault;
    clearTimeout(this.#discardTimer);
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (this.#isAwaited) this.#resolve(this);
    else this.#reject(fault);
    this.#reader?.reject(fault);
  }
}

const END: Next = { done: true, value: undefined };

/** Converts an error of the HTTP client after the request was sent. */
function toFault(error: unknown): UpstreamFault {
  if (error instanceof UpstreamFault) return error;
  if (error instanceof errors.HeadersOverflowError) {
    return new UpstreamFault("invalid", "the upstream answered with headers that are too large", error);
  }
  const isLate = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
  if (isLate) return new UpstreamFault("timeout", "the upstream took too long", error);
  return new UpstreamFault("broken", "the connection to the upstream broke", error);
}

/** Converts an error of the HTTP client while the request waited for a connection. */
function toConnectionFault(error: unknown): UpstreamFault {
  if (error instanceof UpstreamFault) return error;
  const isLate = error instanceof errors.ConnectTimeoutError;
  return new UpstreamFault(isLate ? "connect_timeout" : "unreachable", "the upstream cannot be reached", error);
}
