import type { ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from "node:http2";
import type { EventLog } from "../event-log.ts";
import type { ServiceTls } from "../tls.ts";
import { ServiceSession } from "./service-session.ts";

export interface ServiceAddressOptions {
  /** Origin of the service, e.g. `http://policy:7001`. */
  readonly authority: string;
  /** IP address of one of its processes, or of a proxy in front of them. */
  readonly address: string;
  readonly log: EventLog | undefined;
  /** TLS of an `https:` origin. */
  readonly tls: ServiceTls | undefined;
  /** Called when a session is lost or cannot be opened. */
  readonly onLost: () => void;
}

/**
 * `retired`: a session takes no further calls, and those that run on it should move if they have no end. `suspect`: the peer has
 * not answered for 750 ms and more; repeated every 250 ms.
 */
export type AddressEvent = "retired" | "suspect";
export type AddressListener = (event: AddressEvent) => void;

/** Pause before a lost session is opened again, unless a call needs it earlier; doubled for each failure. */
const MIN_RECONNECT_MS = 250;
const MAX_RECONNECT_MS = 3_000;
/**
 * Maximum time to open a session; doubled for each failure. Callers give up earlier, at their deadlines. The time grows because both
 * processes may wait for a CPU: attempts with a fixed limit might then never succeed.
 */
const MIN_CONNECT_TIMEOUT_MS = 2_000;
const MAX_CONNECT_TIMEOUT_MS = 8_000;
/** Time for which an address with unanswered calls is used only if there is no other. */
const PENALTY_MS = 5_000;
/** Maximum time for which streams may continue after their address was removed. Longer than any call except an endless stream. */
const REMOVED_TIMEOUT_MS = 60_000;

/**
 * One address of a service, with one HTTP/2 session at a time, which is replaced once it is closed, broken or unfit (see
 * `ServiceSession`). Calls that run on a replaced session finish there. Implements `sessionManager` of connect-node.
 */
export class ServiceAddress {
  readonly authority: string;
  readonly address: string;
  readonly #options: ServiceAddressOptions;
  /** Sessions that are not closed yet, retired ones included. */
  readonly #sessions = new Set<ServiceSession>();
  readonly #listeners = new Set<AddressListener>();
  #current: ServiceSession | undefined;
  #failures = 0;
  #failure: Error | undefined;
  /** Monotonic time before which `check` opens no session. */
  #reconnectAt = 0;
  #penaltyUntil = 0;
  #isRemoved = false;

  constructor(options: ServiceAddressOptions) {
    this.authority = options.authority;
    this.address = options.address;
    this.#options = options;
  }

  /** Error of the last attempt to connect; undefined if it succeeded. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** True if a session takes calls. */
  get isReady(): boolean {
    return this.#current?.isReady === true;
  }

  /** True if a session takes calls, and the address is healthy. */
  get isHealthy(): boolean {
    return this.isReady && !this.isSuspect && performance.now() >= this.#penaltyUntil;
  }

  /** True while the process at the address does not answer pings. */
  get isSuspect(): boolean {
    return this.#current?.isSuspect === true;
  }

  /** Number of calls that wait for a response. Streams that have begun, such as change feeds, say nothing about the load. */
  get waitingCalls(): number {
    return this.#current?.waitingCalls ?? 0;
  }

  /** Opens a session unless there is one. Rejects with a ConnectError UNAVAILABLE within 8 s. */
  connect(): Promise<void> {
    return this.#usable().connected;
  }

  /** Opens a stream. @throws ConnectError UNAVAILABLE if there is no connection within 8 s */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions = {},
  ): Promise<ClientHttp2Stream> {
    return (await this.#connected()).request({ ...headers, ":method": method, ":path": path }, options);
  }

  /** Does nothing: part of connect-node's interface. Sessions are kept alive by pings instead. */
  notifyResponseByteRead(): void {}

  /** Adds a listener for running calls. @returns a function that removes it */
  subscribe(listener: AddressListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Checks the sessions, and opens one if there is none. Called every `CHECK_INTERVAL_MS`. */
  check(): void {
    for (const session of this.#sessions) session.check();
    if (!this.#isRemoved && this.#current?.isUsable !== true && performance.now() >= this.#reconnectAt) this.#usable();
  }

  /** Takes no further calls. Running calls can finish within a minute. */
  remove(): void {
    this.#isRemoved = true;
    for (const session of this.#sessions) session.retire("the address was removed");
    if (this.#sessions.size > 0) setTimeout(() => this.destroy("the address was removed"), REMOVED_TIMEOUT_MS).unref();
  }

  /** True if the address was removed and nothing runs on it any more. */
  get isDone(): boolean {
    return this.#isRemoved && this.#sessions.size === 0;
  }

  /** Ends every call. */
  destroy(reason: string): void {
    this.#isRemoved = true;
    for (const session of this.#sessions) session.destroy(reason);
  }

  async #connected(): Promise<ServiceSession> {
    for (;;) {
      const session = this.#usable();
      if (session.isReady) return session;
      await session.connected;
      // It may have been replaced or closed meanwhile.
      if (session.isReady) return session;
    }
  }

  #usable(): ServiceSession {
    return this.#current?.isUsable === true ? this.#current : this.#open();
  }

  #open(): ServiceSession {
    const { authority, address, tls, log, onLost } = this.#options;
    const session = new ServiceSession({
      authority,
      address,
      certificates: tls?.certificates.current,
      connectTimeoutMs: Math.min(MIN_CONNECT_TIMEOUT_MS * 2 ** this.#failures, MAX_CONNECT_TIMEOUT_MS),
      onRetired: ({ reason, kind }) => {
        if (kind === "unanswered") this.#penaltyUntil = performance.now() + PENALTY_MS;
        const level = kind === "none" ? "debug" : "warn";
        log?.[level]({ service: authority, address, reason }, "session to a service replaced");
        this.#notify("retired");
      },
      onSuspect: () => this.#notify("suspect"),
    });
    this.#sessions.add(session);
    this.#current = session;
    let isConnected = false;
    const onConnected = (): void => {
      isConnected = true;
      if (this.#failures > 0) log?.info({ service: authority, address }, "address of a service reached again");
      this.#failures = 0;
      this.#failure = undefined;
    };
    const isFirstFailure = this.#failures === 0;
    session.connected.then(onConnected, (error: Error) => {
      this.#failure = error;
      if (isFirstFailure)
        log?.warn({ service: authority, address, reason: error.message }, "address of a service not reached");
    });
    session.onClose(() => {
      this.#sessions.delete(session);
      const pauseMs = Math.min(MIN_RECONNECT_MS * 2 ** this.#failures, MAX_RECONNECT_MS);
      this.#reconnectAt = performance.now() + pauseMs;
      if (!isConnected) this.#failures++;
      onLost();
    });
    return session;
  }

  #notify(event: AddressEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
