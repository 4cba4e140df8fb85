import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Certificates } from "../tls.ts";

/** Interval at which the owner of a session calls `check`. */
export const CHECK_INTERVAL_MS = 250;
/** Checks without a byte from the peer after which it is pinged: 1 s. */
const CHECKS_BEFORE_PING = 4;
/** Checks after a ping, without a byte from the peer, after which the peer is suspect: 750 ms. */
const CHECKS_BEFORE_SUSPECT = 3;
/** Likewise, after which the session is destroyed: 2.25 s. With the time before the ping, a call is given up within 3 s. */
const CHECKS_BEFORE_DEAD = 9;
/** Consecutive calls without a response after which a session is retired. */
const MAX_FAILURES = 3;
/** Minimum age of a session that is retired for failures: new connections do not make an overloaded service faster. */
const MIN_AGE_MS = 1_000;
/**
 * Streams abandoned before their end after which a session is retired. The unsent bytes of such a stream stay on the memory
 * account of its side of the session (`maxSessionMemory`, 10 MB): at most a request of 1 MiB here, a piece of a response there.
 */
const MAX_ABANDONED = 8;

/** Reason why a session takes no further streams. */
export interface Retirement {
  readonly reason: string;
  /** `fault`: the session is broken; `unanswered`: calls had no response; `none`: callers or the service ended it. */
  readonly kind: "fault" | "unanswered" | "none";
}

export interface ServiceSessionOptions {
  /** Origin of the service, e.g. `http://policy:7001`. */
  readonly authority: string;
  /** IP address that is connected to. */
  readonly address: string;
  /** Certificates for TLS. */
  readonly certificates: Certificates | undefined;
  /** Longest time until the peer has answered with its settings. */
  readonly connectTimeoutMs: number;
  /** Called once, when the session takes no further streams although it is not closed. */
  readonly onRetired: (retirement: Retirement) => void;
  /** Called at every check while the peer is suspect. */
  readonly onSuspect: () => void;
}

/**
 * HTTP/2 session to one address of a service. It detects that it is unfit for further streams, and then retires: it takes no new
 * ones, finishes those that are open, and closes.
 *
 * Node never returns the unsent bytes of a dropped stream to the memory account of the session. Once the account is full, every new stream
 * is reset with ENHANCE_YOUR_CALM, permanently, although pings are answered. Dropped streams are therefore counted. A silent peer is
 * detected by pings, with or without open streams. It is suspect first, so that calls go to other addresses, and dead later. Times are
 * counted in checks, so that a pause of this process itself is not taken for silence of the peer.
 */
export class ServiceSession {
  /** Resolves once the peer has answered with its settings; rejects with a ConnectError UNAVAILABLE. */
  readonly connected: Promise<void>;
  readonly #http2: ClientHttp2Session;
  readonly #options: ServiceSessionOptions;
  readonly #openedAt = performance.now();
  readonly #closed = Promise.withResolvers<void>();
  #isConnected = false;
  #isRetired = false;
  #openStreams = 0;
  #waiting = 0;
  #failures = 0;
  #abandoned = 0;
  /** Value of `socket.bytesRead` at the last check. */
  #bytesRead = 0;
  /** Checks since the last byte, or since the ping if one has no answer. */
  #silentChecks = 0;
  #isPinging = false;

  constructor(options: ServiceSessionOptions) {
    const { authority, address, certificates, connectTimeoutMs } = options;
    const socket = openSocket(new URL(authority), address, certificates);
    let fault = "the connection was closed";
    // For the life of the socket and of the session: an error without a listener would end the process.
    socket.on("error", ({ message }) => {
      fault = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1] ?? message;
      // The session closes itself, but without an event if the service refuses its certificate.
      setImmediate(() => {
        socket.destroy();
        this.#closed.resolve();
      });
    });
    const http2 = connect(authority, { createConnection: () => socket });
    this.#http2 = http2;
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.connected = promise;
    // A rejection that nobody awaits needs no handling.
    promise.catch(() => {});
    const timer = setTimeout(() => this.destroy("no connection in time"), connectTimeoutMs);
    // A suspended process accepts connections: the kernel does. Only its settings show that it serves.
    http2.once("remoteSettings", () => {
      clearTimeout(timer);
      this.#isConnected = true;
      if (this.#openStreams === 0) http2.unref();
      resolve();
    });
    http2.on("goaway", () => this.#retire({ reason: "the service ends the session", kind: "none" }));
    http2.on("error", (error: Error) => reject(unavailable(error.message)));
    http2.once("close", this.#closed.resolve);
    void this.#closed.promise.finally(() => {
      clearTimeout(timer);
      reject(unavailable(fault));
    });
  }

  /** True if the session is connected and takes streams. */
  get isReady(): boolean {
    return this.#isConnected && this.isUsable;
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#http2.closed && !this.#http2.destroyed;
  }

  /** True while a ping has been unanswered for long, but the session is not destroyed yet. */
  get isSuspect(): boolean {
    return this.#isPinging && this.#silentChecks >= CHECKS_BEFORE_SUSPECT;
  }

  /** Number of streams without a response. */
  get waitingCalls(): number {
    return this.#waiting;
  }

  /** Opens a stream. Call it once the session is connected. */
  request(headers: OutgoingHttpHeaders, options: object): ClientHttp2Stream {
    const stream = this.#http2.request(headers, options);
    if (++this.#openStreams === 1) this.#http2.ref();
    this.#waiting++;
    // Readers of the stream get its error; a later one needs no handling.
    stream.on("error", () => {});
    let hasResponse = false;
    stream.once("response", () => {
      hasResponse = true;
      this.#waiting--;
      this.#failures = 0;
    });
    stream.once("close", () => {
      if (!hasResponse) this.#waiting--;
      if (--this.#openStreams === 0) this.#http2.unref();
      this.#evaluate(stream, hasResponse);
      this.#closeIfDone();
    });
    return stream;
  }

  /** Ends the session once its open streams have ended. */
  retire(reason: string): void {
    this.#retire({ reason, kind: "none" });
  }

  /** Closes the session at once, with every stream. */
  destroy(reason: string): void {
    this.#http2.destroy(unavailable(reason), constants.NGHTTP2_CANCEL);
  }

  onClose(listener: () => void): void {
    void this.#closed.promise.then(listener);
  }

  /**
   * Pings a silent peer, and gives up one that does not answer. Called every `CHECK_INTERVAL_MS`, after the event loop has read
   * what had arrived.
   */
  check(): void {
    const { destroyed, socket } = this.#http2;
    if (!this.#isConnected || destroyed) return;
    const { bytesRead } = socket;
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#silentChecks = 0;
      this.#isPinging = false;
      return;
    }
    this.#silentChecks++;
    if (!this.#isPinging) {
      if (this.#waiting === 0 && this.#silentChecks < CHECKS_BEFORE_PING) return;
      this.#isPinging = true;
      this.#silentChecks = 0;
      this.#http2.ping(() => {});
    } else if (this.#silentChecks >= CHECKS_BEFORE_DEAD) {
      this.destroy("a ping had no answer");
    } else if (this.isSuspect) {
      this.#options.onSuspect();
    }
  }

  #evaluate(stream: ClientHttp2Stream, hasResponse: boolean): void {
    if (!this.isUsable) return;
    // A cancellation by the caller is no sign of a fault of the service.
    if (!hasResponse && stream.rstCode !== constants.NGHTTP2_CANCEL) this.#failures++;
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || !stream.writableFinished) this.#abandoned++;
    if (stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM) {
      this.#retire({ reason: "a stream was reset with ENHANCE_YOUR_CALM", kind: "fault" });
    } else if (this.#failures >= MAX_FAILURES && performance.now() - this.#openedAt >= MIN_AGE_MS) {
      this.#retire({ reason: `${this.#failures} calls in a row had no answer`, kind: "unanswered" });
    } else if (this.#abandoned >= MAX_ABANDONED) {
      this.#retire({ reason: `${this.#abandoned} streams were given up before their end`, kind: "none" });
    }
  }

  #retire(retirement: Retirement): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#options.onRetired(retirement);
    this.#closeIfDone();
  }

  /** Closes a retired session after its last stream: earlier, the peer would refuse a stream that is just being opened. */
  #closeIfDone(): void {
    if (this.#isRetired && this.#openStreams === 0) this.#http2.close();
  }
}

function openSocket({ protocol, hostname, port }: URL, address: string, certificates?: Certificates): Socket {
  if (protocol === "http:") return connectSocket({ host: address, port: Number(port || 80) });
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const servername = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({
    host: address,
    port: Number(port || 443),
    ALPNProtocols: ["h2"],
    ...servername,
    ...certificates,
  });
}

function unavailable(reason: string): ConnectError {
  return new ConnectError(reason, Code.Unavailable);
}
