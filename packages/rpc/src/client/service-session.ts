import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

const CONNECT_TIMEOUT_MS = 2_000;
/** Silence of the peer after which it is pinged. */
const PING_INTERVAL_MS = 1_000;
const PING_TIMEOUT_MS = 2_500;
/** Consecutive calls without a response after which a session is retired. */
const MAX_FAILURES = 3;
/** Minimum age of a session that is retired for failures: new connections do not make an overloaded service faster. */
const MIN_AGE_MS = 1_000;
/**
 * Streams abandoned before their end after which a session is retired. The unsent bytes of such a stream stay on the memory
 * account of its side of the session (`maxSessionMemory`, 10 MB): at most a request of 1 MiB here, a piece of a response there.
 */
const MAX_ABANDONED = 8;

/** Reason for which a session takes no further streams. */
export interface Retirement {
  readonly reason: string;
  /** True if something is wrong; false if callers merely hung up. */
  readonly isFault: boolean;
}

/**
 * HTTP/2 session to a service. It detects that it is unfit for further streams, and then retires: it takes no new ones, finishes
 * those that are open, and closes.
 *
 * Node never returns the unsent bytes of a dropped stream to the memory account of the session. Once the account is full, every
 * new stream is reset with ENHANCE_YOUR_CALM, for ever, although pings are answered; so dropped streams are counted. A silent peer
 * is detected by pings, with or without open streams: if a ping were given up when the last stream closes, deadlines shorter than
 * its time-out would hide every silent peer.
 */
export class ServiceSession {
  /** Resolves once the session is connected; rejects with a ConnectError UNAVAILABLE. */
  readonly connected: Promise<void>;
  readonly #http2: ClientHttp2Session;
  readonly #onRetired: (retirement: Retirement) => void;
  readonly #openedAt = performance.now();
  #isRetired = false;
  #openStreams = 0;
  #failures = 0;
  #abandoned = 0;
  /** Value of `socket.bytesRead` at the last ping interval. */
  #bytesRead = 0;
  #isPinging = false;

  constructor(authority: string, onRetired: (retirement: Retirement) => void) {
    const http2 = connect(authority);
    this.#http2 = http2;
    this.#onRetired = onRetired;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.connected = promise;
    // A rejection that nobody awaits needs no handling.
    promise.catch(() => {});
    const timer = setTimeout(() => this.destroy("no connection in time"), CONNECT_TIMEOUT_MS);
    const pings = setInterval(() => this.#ping(), PING_INTERVAL_MS).unref();
    http2.once("connect", () => {
      clearTimeout(timer);
      http2.unref();
      resolve();
    });
    // For the life of the session: an error without a listener would end the process.
    http2.on("error", (error: Error) => reject(unavailable(error.message)));
    http2.once("close", () => {
      clearTimeout(timer);
      clearInterval(pings);
      reject(unavailable("the connection was closed"));
    });
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#http2.closed && !this.#http2.destroyed;
  }

  /** Opens a stream. Call it once the session is connected. */
  request(headers: OutgoingHttpHeaders, options: object): ClientHttp2Stream {
    const stream = this.#http2.request(headers, options);
    if (++this.#openStreams === 1) this.#http2.ref();
    // Readers of the stream get its error; a later one needs no handling.
    stream.on("error", () => {});
    let hasResponse = false;
    stream.once("response", () => {
      hasResponse = true;
      this.#failures = 0;
    });
    stream.once("close", () => {
      if (--this.#openStreams === 0) this.#http2.unref();
      this.#evaluate(stream, hasResponse);
      this.#closeIfDone();
    });
    return stream;
  }

  /** Closes the session at once, with every stream. */
  destroy(reason: string): void {
    this.#http2.destroy(unavailable(reason), constants.NGHTTP2_CANCEL);
  }

  onClose(listener: () => void): void {
    this.#http2.once("close", listener);
  }

  #evaluate(stream: ClientHttp2Stream, hasResponse: boolean): void {
    if (!this.isUsable) return;
    // A cancellation by the caller says nothing about the service.
    if (!hasResponse && stream.rstCode !== constants.NGHTTP2_CANCEL) this.#failures++;
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || !stream.writableFinished) this.#abandoned++;
    if (stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM) {
      this.#retire("a stream was reset with ENHANCE_YOUR_CALM", true);
    } else if (this.#failures >= MAX_FAILURES && performance.now() - this.#openedAt >= MIN_AGE_MS) {
      this.#retire(`${this.#failures} calls in a row had no answer`, true);
    } else if (this.#abandoned >= MAX_ABANDONED) {
      this.#retire(`${this.#abandoned} streams were given up before their end`, false);
    }
  }

  #retire(reason: string, isFault: boolean): void {
    this.#isRetired = true;
    this.#onRetired({ reason, isFault });
  }

  /** Closes a retired session after its last stream: earlier, the peer would refuse a stream that is just being opened. */
  #closeIfDone(): void {
    if (this.#isRetired && this.#openStreams === 0) this.#http2.close();
  }

  /** Pings a peer that has been silent since the last call. Called every `PING_INTERVAL_MS`. */
  #ping(): void {
    const { connecting, destroyed, socket } = this.#http2;
    if (connecting || destroyed || this.#isPinging) return;
    const { bytesRead } = socket;
    const hasReceived = bytesRead !== this.#bytesRead;
    this.#bytesRead = bytesRead;
    if (hasReceived) return;
    this.#isPinging = true;
    const evaluate = (): void => {
      if (!this.#isPinging || this.#http2.destroyed) return;
      this.#isPinging = false;
      if (socket.bytesRead === bytesRead) this.destroy("a ping had no answer");
    };
    // After a turn of the event loop: bytes that arrived while this process was busy must be read first.
    const timer = setTimeout(() => setImmediate(evaluate), PING_TIMEOUT_MS).unref();
    this.#http2.ping(() => {
      this.#isPinging = false;
      clearTimeout(timer);
    });
  }
}

function unavailable(reason: string): ConnectError {
  return new ConnectError(reason, Code.Unavailable);
}
