import type { ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from "node:http2";
import { isIP } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import type { EventLog } from "../event-log.ts";
import { type ResolveAddresses, resolveAddresses } from "./resolve-addresses.ts";
import { ServiceAddress } from "./service-address.ts";
import type { ServiceTls } from "../tls.ts";
import { CHECK_INTERVAL_MS } from "./service-session.ts";

export interface ServiceConnectionOptions {
  /** Address of the service, which speaks HTTP/2, e.g. `http://policy:7001`; with `https:` over TLS. Its host name may have many addresses. */
  readonly url: string;
  /** Logger of replaced sessions and of addresses that come, go and fail. None by default. */
  readonly log?: EventLog;
  /** Resolver of host names; that of the operating system by default. */
  readonly resolve?: ResolveAddresses;
  /** Authorities that verify a service over TLS, and the certificate to present if the service requests one. */
  readonly tls?: ServiceTls | undefined;
}

/**
 * Outcome of a call without a result: `answered` by the service; `unanswered`, so it may or may not have been processed; `refused` before
 * any processing, because its session was about to close.
 */
export type CallOutcome = "answered" | "unanswered" | "refused";

/** Call that may be made again on another address. */
export interface RepeatableCall {
  readonly outcomeOf: (error: unknown) => CallOutcome;
  /** True if the call may be repeated when it is unanswered, or when its address does not answer pings. */
  readonly isIdempotent: boolean;
  /** False once its caller no longer waits. */
  readonly isWanted: () => boolean;
  /** Maximum wait for a connection, including earlier attempts. */
  readonly timeoutMs?: number | undefined;
}

/** Maximum number of attempts at a call. Only refused ones are repeated more than once. */
const MAX_ATTEMPTS = 3;
/** Maximum number of addresses of a service that one process connects to. It ignores further ones. */
const MAX_ADDRESSES = 64;
/** Age from which addresses are resolved again; up to a fifth longer, so that processes do not do it at the same time. */
const RESOLVE_INTERVAL_MS = 3_000;
/** Maximum wait of a call for an address that takes it. */
const PICK_TIMEOUT_MS = 4_000;

/**
 * Connection to one service: the addresses of its host name, each with an HTTP/2 session (`ServiceAddress`).
 *
 * Addresses are resolved at the first call, every 3 s, and when a session is lost. A lookup that fails or finds nothing changes
 * nothing. Each call goes to the less busy of two healthy addresses, taken at random; addresses that are suspect, lost or under a
 * penalty are used only if there is no other. Sessions are opened before a call needs them.
 */
export class ServiceConnection {
  readonly authority: string;
  readonly #options: ServiceConnectionOptions;
  readonly #hostname: string;
  /** Addresses in use, by IP address. */
  readonly #addresses = new Map<string, ServiceAddress>();
  /** Removed addresses on which calls still run. */
  readonly #removed = new Set<ServiceAddress>();
  #ticker: NodeJS.Timeout | undefined;
  #resolving: Promise<void> | undefined;
  /** Monotonic time from which the addresses are resolved again. */
  #resolveAt = 0;

  constructor(options: ServiceConnectionOptions) {
    const { origin, hostname } = new URL(options.url);
    this.authority = origin;
    this.#options = options;
    this.#hostname = hostname.replace(/^\[(.*)\]$/, "$1");
  }

  /** Opens a stream. @throws ConnectError UNAVAILABLE if there is no connection within a few seconds */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions = {},
  ): Promise<ClientHttp2Stream> {
    const address = await this.pick();
    return address.request(method, path, headers, options);
  }

  /**
   * Makes a call. Repeats it if it was refused, or if it is idempotent and unanswered: on another address, or on a new session if there is
   * no other.
   *
   * @param attempt is given an address and a signal; it rejects when the signal is aborted
   */
  async call<T>(
    { outcomeOf, isIdempotent, isWanted, timeoutMs = Infinity }: RepeatableCall,
    attempt: (address: ServiceAddress, abandoned: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const startedAt = performance.now();
    let address = this.#choose() ?? (await this.pick(timeoutMs));
    let mayRepeat = isIdempotent;
    for (let attempts = 1; ; attempts++) {
      const abandoning = new AbortController();
      const { signal } = abandoning;
      const release = mayRepeat ? this.#onSuspect(address, () => abandoning.abort()) : undefined;
      try {
        return await attempt(address, signal);
      } catch (error) {
        const outcome = signal.aborted ? "unanswered" : outcomeOf(error);
        if (outcome === "answered" || (outcome === "unanswered" && !mayRepeat)) throw error;
        if (attempts === MAX_ATTEMPTS || !isWanted()) throw error;
        if (outcome === "unanswered") mayRepeat = false;
        const other = this.#choose(address);
        if (other === undefined && address.isReady && outcome === "unanswered") throw error;
        address = other ?? (await this.pick(timeoutMs - (performance.now() - startedAt)));
      } finally {
        release?.();
      }
    }
  }

  /**
   * Returns an address that takes calls, once there is one.
   *
   * @param timeoutMs what is left of the call's deadline
   * @throws ConnectError UNAVAILABLE if no address can be found or reached within 4 s; DEADLINE_EXCEEDED after `timeoutMs`
   */
  async pick(timeoutMs = Infinity): Promise<ServiceAddress> {
    this.#start();
    const chosen = this.#choose() ?? this.#chooseUnhealthy();
    if (chosen !== undefined) return chosen;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const code = timeoutMs < PICK_TIMEOUT_MS ? Code.DeadlineExceeded : Code.Unavailable;
    const onLate = (): void => {
      const causes = [...this.#addresses.values()].flatMap(({ failure }) => failure ?? []);
      reject(new ConnectError("no connection in time", code, undefined, undefined, causes[0]));
    };
    const timer = setTimeout(onLate, Math.max(0, Math.min(timeoutMs, PICK_TIMEOUT_MS)));
    try {
      return await Promise.race([this.#connectAny(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** True if a healthy address besides this one takes calls. */
  hasOther(address: ServiceAddress): boolean {
    return this.#choose(address) !== undefined;
  }

  /** Ends every call. */
  stop(): void {
    clearInterval(this.#ticker);
    for (const address of [...this.#addresses.values(), ...this.#removed]) {
      address.destroy("the connection was stopped");
    }
  }

  /** Calls `listener` when an address is suspect while another one is healthy. @returns a function that ends that */
  #onSuspect(address: ServiceAddress, listener: () => void): () => void {
    return address.subscribe((event) => {
      if (event === "suspect" && this.hasOther(address)) listener();
    });
  }

  /** Chooses the less busy of two healthy addresses, which are taken at random; undefined if none is healthy. */
  #choose(excluded?: ServiceAddress): ServiceAddress | undefined {
    const healthy: ServiceAddress[] = [];
    for (const address of this.#addresses.values())
      if (address !== excluded && address.isHealthy) healthy.push(address);
    const { length } = healthy;
    if (length < 2) return healthy[0];
    const index = Math.floor(Math.random() * length);
    const [one, other] = [healthy[index], healthy[(index + 1 + Math.floor(Math.random() * (length - 1))) % length]];
    if (one === undefined || other === undefined) return one;
    return other.waitingCalls < one.waitingCalls ? other : one;
  }

  /** Chooses an address that takes calls although it is not healthy, preferably one that answers pings. */
  #chooseUnhealthy(): ServiceAddress | undefined {
    const ready = [...this.#addresses.values()].filter(({ isReady }) => isReady);
    return ready.find(({ isSuspect }) => !isSuspect) ?? ready[0];
  }

  /** Returns the first address to which a connection can be opened. */
  async #connectAny(): Promise<ServiceAddress> {
    if (this.#addresses.size === 0) await this.#resolve();
    for (const tried = new Set<string>(); ;) {
      const addresses = [...this.#addresses.values()];
      if (addresses.length === 0) throw new ConnectError("the address of the service is not known", Code.Unavailable);
      try {
        return await Promise.any(addresses.map((address) => address.connect().then(() => address)));
      } catch (error) {
        // The service may have moved: its new addresses are tried before the call fails.
        for (const { address } of addresses) tried.add(address);
        await this.#resolve();
        if ([...this.#addresses.keys()].every((address) => tried.has(address))) throw lastOf(error);
      }
    }
  }

  #start(): void {
    if (this.#ticker !== undefined) return;
    // After a turn of the event loop: bytes that arrived while this process was busy must be read first.
    this.#ticker = setInterval(() => setImmediate(() => this.#check()), CHECK_INTERVAL_MS).unref();
    if (isIP(this.#hostname) !== 0) this.#use([this.#hostname]);
    else void this.#resolve();
  }

  #check(): void {
    for (const address of this.#addresses.values()) address.check();
    for (const address of this.#removed) {
      address.check();
      if (address.isDone) this.#removed.delete(address);
    }
    if (performance.now() >= this.#resolveAt) void this.#resolve();
  }

  /** Resolves the host name, one lookup at a time. Never rejects. */
  #resolve(): Promise<void> {
    if (isIP(this.#hostname) !== 0) return Promise.resolve();
    this.#resolving ??= this.#lookUp().finally(() => {
      this.#resolving = undefined;
      this.#resolveAt = performance.now() + RESOLVE_INTERVAL_MS * (1 + Math.random() / 5);
    });
    return this.#resolving;
  }

  async #lookUp(): Promise<void> {
    const { resolve = resolveAddresses, log } = this.#options;
    try {
      const found = await resolve(this.#hostname);
      if (found.length > 0) this.#use(found);
    } catch (error) {
      log?.debug({ service: this.authority, err: error }, "addresses of a service not resolved");
    }
  }

  /** Replaces the addresses by the resolved ones. If there are too many, addresses in use are preferred. */
  #use(found: readonly string[]): void {
    const { authority } = this;
    const { log, tls } = this.#options;
    const known = found.filter((address) => this.#addresses.has(address));
    const added = found.filter((address) => !this.#addresses.has(address)).toSorted(() => Math.random() - 0.5);
    const used = new Set([...known, ...added].slice(0, MAX_ADDRESSES));
    for (const [name, address] of this.#addresses) {
      if (used.has(name)) continue;
      this.#addresses.delete(name);
      this.#removed.add(address);
      address.remove();
    }
    for (const name of used) {
      if (this.#addresses.has(name)) continue;
      const onLost = (): void => void (this.#resolveAt = 0);
      const address = new ServiceAddress({ authority, address: name, tls, log, onLost });
      this.#addresses.set(name, address);
      void address.connect().catch(() => {});
    }
    if (known.length === 0 || used.size !== known.length || this.#removed.size > 0) {
      log?.debug({ service: authority, addresses: [...used] }, "addresses of a service");
    }
  }
}

function lastOf(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors.at(-1) : error;
}
