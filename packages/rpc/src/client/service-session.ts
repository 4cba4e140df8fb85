import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

const CONNECT_TIMEOUT_MS = 2_000;
/** A peer of which nothing was heard for so long is pinged. */
const PING_INTERVAL_MS = 1_000;
const PING_TIMEOUT_MS = 2_500;
/** Calls in a row without an answer after which a session is not trusted any more. */
const MAX_FAILURES = 3;
/** A service that answers nobody is not made any faster by new connections: one a second at most. */
const MIN_AGE_MS = 1_000;
/**
 * Streams given up before their end after which a session takes no further ones. What such a stream had not sent stays on the
 * account of its side of the session (`maxSessionMemory`, 10 MB): at most a request of 1 MiB here, a piece of an answer there.
 */
const MAX_ABANDONED = 8;

/** Why a session takes no further streams. */
export interface Unfitness {
  readonly reason: string;
  /** True if something is wrong; false if callers merely went away. */
  readonly isFault: boolean;
}

/**
 * HTTP/2 session to a service that notices when it can no longer be relied on, and then takes no further streams.
 *
 * Node never gives the bytes of a stream that is dropped before they are sent back to the account of the session. Once the
 * account is full, every new stream is reset with ENHANCE_YOUR_CALM, for ever, although pings are answered; so dropped streams
 * are counted. A silent peer is found by pings, sent whether or not streams are open: one that waits for the answer only as
 * long as a stream is open finds nothing when deadlines are shorter.
 */
export class ServiceSession {
  /** Settled once the connection stands. Rejects with a ConnectError UNAVAILABLE. */
  readonly connected: Promise<void>;
  readonly #http2: ClientHttp2Session;
  readonly #onUnfit: (unfitness: Unfitness) => void;
  readonly #openedAt = performance.now();
  #isRetired = false;
  #openStreams = 0;
  #failures = 0;
  #abandoned = 0;
  /** At the last tick of the pings. */
  #bytesRead = 0;
  #isPinging = false;

  constructor(authority: string, onUnfit: (unfitness: Unfitness) => void) {
    const http2 = connect(authority);
    this.#http2 = http2;
    this.#onUnfit = onUnfit;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.connected = promise;
    // Whoever waits for it hears of it; if nobody does, nobody needs to.
    promise.catch(() => {});
    const timer = setTimeout(() => this.destroy("no connection in time"), CONNECT_TIMEOUT_MS);
    const pings = setInterval(() => this.#ping(), PING_INTERVAL_MS).unref();
    http2.once("connect", () => {
      clearTimeout(timer);
      http2.unref();
      resolve();
    });
    // Stays as long as the session exists: an error without a listener would end the process.
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

  /** Opens a stream. To be called once the session is connected. */
  request(headers: OutgoingHttpHeaders, options: object): ClientHttp2Stream {
    const stream = this.#http2.request(headers, options);
    if (++this.#openStreams === 1) this.#http2.ref();
    // Whoever reads it or waits for its answer hears of an error; one after that is nobody's.
    stream.on("error", () => {});
    let isAnswered = false;
    stream.once("response", () => {
      isAnswered = true;
      this.#failures = 0;
    });
    stream.once("close", () => {
      if (--this.#openStreams === 0) this.#http2.unref();
      this.#judge(stream, isAnswered);
      this.#closeIfDone();
    });
    return stream;
  }

  /** Ends it now, with every stream. */
  destroy(reason: string): void {
    this.#http2.destroy(unavailable(reason), constants.NGHTTP2_CANCEL);
  }

  onClose(listener: () => void): void {
    this.#http2.once("close", listener);
  }

  #judge(stream: ClientHttp2Stream, isAnswered: boolean): void {
    if (!this.isUsable) return;
    // Cancelled by a caller that does not want it any more: that says nothing of the service.
    if (!isAnswered && stream.rstCode !== constants.NGHTTP2_CANCEL) this.#failures++;
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
    this.#onUnfit({ reason, isFault });
  }

  /** After the last stream of a session that takes no further ones: the peer would refuse one that is just being opened. */
  #closeIfDone(): void {
    if (this.#isRetired && this.#openStreams === 0) this.#http2.close();
  }

  /** To be called every `PING_INTERVAL_MS`. */
  #ping(): void {
    const { connecting, destroyed, socket } = this.#http2;
    if (connecting || destroyed || this.#isPinging) return;
    const { bytesRead } = socket;
    const wasHeard = bytesRead !== this.#bytesRead;
    this.#bytesRead = bytesRead;
    if (wasHeard) return;
    this.#isPinging = true;
    const judge = (): void => {
      if (!this.#isPinging || this.#http2.destroyed) return;
      this.#isPinging = false;
      if (socket.bytesRead === bytesRead) this.destroy("a ping had no answer");
    };
    // What came while this process was busy is read before it is missed.
    const timer = setTimeout(() => setImmediate(judge), PING_TIMEOUT_MS).unref();
    this.#http2.ping(() => {
      this.#isPinging = false;
      clearTimeout(timer);
    });
  }
}

function unavailable(reason: string): ConnectError {
  return new ConnectError(reason, Code.Unavailable);
}
