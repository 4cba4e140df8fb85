import { setTimeout as delay } from "node:timers/promises";
import type { Component, Logger, Watched } from "@routeplane/runtime";
import {
  connect,
  createInbox,
  credsAuthenticator,
  type JetStreamManager,
  type NatsConnection as RawConnection,
  nkeyAuthenticator,
} from "nats";
import type { NatsAddress } from "./address.ts";
import { JetStreamPublisher } from "./jetstream-publisher.ts";

/** One established connection, with its clients of JetStream. It ends with the connection; a reconnect opens another session. */
export interface Session {
  /** Address and credential that it was opened with. */
  readonly address: NatsAddress;
  /** Returns a new subject for answers to this connection. */
  readonly newInbox: () => string;
  readonly connection: RawConnection;
  readonly publisher: JetStreamPublisher;
  readonly manager: JetStreamManager;
}

export interface ConnectionOptions {
  readonly nats: NatsAddress;
  /** Address with its current secrets. When it changes, a new session replaces the present one. `nats` by default. */
  readonly latestNats?: Watched<NatsAddress>;
  readonly log: Logger;
  /** Name of the connection at the server, e.g. `gateway`. */
  readonly name: string;
}

/** Connection to NATS that reconnects, for ever, whenever it is lost. */
export interface NatsConnection extends Component {
  /** Returns the current session; undefined while disconnected. */
  session(): Session | undefined;
  /** Resolves to the session as soon as there is one; to undefined after `timeoutMs` or once stopped. */
  untilConnected(timeoutMs: number): Promise<Session | undefined>;
  /** Returns the milliseconds since the last session ended; 0 while there is one. */
  disconnectedForMs(): number;
  /** Resolves to true if NATS answers now, to false after a second without an answer. */
  isReachable(): Promise<boolean>;
}

const CONNECT_TIMEOUT_MS = 2_000;
const REQUEST_TIMEOUT_MS = 2_000;
const PING_INTERVAL_MS = 2_000;
const MAX_PINGS_OUT = 2;
const REACHABLE_TIMEOUT_MS = 1_000;
const MIN_WAIT_MS = 100;
const MAX_WAIT_MS = 2_000;
/** Time that a replaced session stays open for answers to what was sent on it. */
const REPLACED_MS = 3_000;

/**
 * Opens a connection in the background: a process can start while NATS is down. The client's own reconnecting is off, so that every
 * connection passes through `prepare`, and requests that wait for an answer on a lost one fail at once. With a new credential, a new
 * session is opened before the old one is closed. If that fails, the old one stays and opening is retried.
 *
 * @param prepare declares stream and consumer; if it fails, the session ends and another one is tried
 */
export function openConnection(
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
): NatsConnection {
  const stopped = new AbortController();
  let current: Session | undefined;
  let lastConnectedAt = performance.now();
  let changed = Promise.withResolvers<void>();

  const setSession = (session: Session | undefined): void => {
    if (current !== undefined) lastConnectedAt = performance.now();
    current = session;
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };

  const running = keepConnected(options, prepare, setSession, stopped.signal);
  return {
    name: `nats connection ${options.name}`,
    session: () => current,
    disconnectedForMs: () => (current === undefined ? performance.now() - lastConnectedAt : 0),
    async untilConnected(timeoutMs) {
      const until = performance.now() + timeoutMs;
      for (;;) {
        const leftMs = until - performance.now();
        if (current !== undefined || stopped.signal.aborted || leftMs <= 0) return current;
        await Promise.race([changed.promise, wait(leftMs, stopped.signal)]);
      }
    },
    isReachable: async () => current !== undefined && (await answers(current.connection)),
    async stop() {
      stopped.abort();
      await running;
    },
  };
}

async function keepConnected(
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
  setSession: (session: Session | undefined) => void,
  stopped: AbortSignal,
): Promise<void> {
  const { log } = options;
  let failures = 0;
  while (!stopped.aborted) {
    let session: Session | undefined;
    try {
      session = await establish(options, prepare, stopped);
      setSession(session);
      if (failures > 0) log.info({ failures }, "connection to NATS recovered");
      failures = 0;
      while (await isRenewed(options, session, stopped)) {
        session = await replace(session, options, prepare, stopped);
        setSession(session);
      }
      if (!stopped.aborted) log.warn("connection to NATS lost");
    } catch (error) {
      // Logs the first failure, and every 30th while it lasts.
      if (failures++ % 30 === 0) log.warn({ err: error, failures }, "connecting to NATS failed");
    } finally {
      setSession(undefined);
      await close(session?.connection, stopped);
    }
    await wait(Math.min(MIN_WAIT_MS * 2 ** Math.min(failures, 5), MAX_WAIT_MS), stopped);
  }
}

/** Opens a session with the present credential. */
async function establish(
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
  stopped: AbortSignal,
): Promise<Session> {
  const address = options.latestNats?.current ?? options.nats;
  const connection = await connect(toClientOptions(options, address));
  try {
    const session = await openSession(connection, address);
    await prepare(session);
    return session;
  } catch (error) {
    await close(connection, stopped);
    throw error;
  }
}

/** Waits until the address or credential has changed, or the session is lost. @returns true in the former case */
async function isRenewed({ latestNats }: ConnectionOptions, session: Session, stopped: AbortSignal): Promise<boolean> {
  const { promise: changed, resolve } = Promise.withResolvers<void>();
  const unsubscribe = latestNats?.onChange(() => resolve());
  if (latestNats !== undefined && latestNats.current !== session.address) resolve();
  await Promise.race([session.connection.closed(), aborted(stopped), changed]);
  unsubscribe?.();
  return !stopped.aborted && !session.connection.isClosed();
}

/** Opens a session in place of another one, which it leaves open for a while; returns the former one if that is lost first. */
async function replace(
  former: Session,
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
  stopped: AbortSignal,
): Promise<Session> {
  const { log } = options;
  for (let failures = 0; !stopped.aborted && !former.connection.isClosed(); failures++) {
    try {
      const session = await establish(options, prepare, stopped);
      log.info("connected to NATS with the new credential");
      void wait(REPLACED_MS, stopped).then(() => close(former.connection, stopped));
      return session;
    } catch (error) {
      if (failures % 30 === 0)
        log.error({ err: error }, "connecting to NATS with the new credential failed: the former one stays in use");
    }
    await wait(Math.min(MIN_WAIT_MS * 2 ** Math.min(failures, 5), MAX_WAIT_MS), stopped);
  }
  return former;
}

function toClientOptions({ name }: ConnectionOptions, address: NatsAddress) {
  const { servers, tls, ca } = address;
  return {
    servers: [...servers],
    name,
    ...toCredential(address),
    ...(tls ? { tls: ca === undefined ? {} : { ca } } : {}),
    timeout: CONNECT_TIMEOUT_MS,
    reconnect: false,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: MAX_PINGS_OUT,
    noAsyncTraces: true,
    inboxPrefix: inboxPrefixOf(address),
  };
}

function toCredential({ user, password = "", creds, nkey }: NatsAddress) {
  // The parser needs the final line end, which was removed when the secret was read.
  if (creds !== undefined) return { authenticator: credsAuthenticator(new TextEncoder().encode(`${creds}\n`)) };
  if (nkey !== undefined) return { authenticator: nkeyAuthenticator(new TextEncoder().encode(nkey)) };
  return user === undefined ? {} : { user, pass: password };
}

/** Returns the prefix of the user's own subjects for answers: permissions keep users from reading each other's. */
function inboxPrefixOf({ user = "" }: NatsAddress): string {
  return /^[\w-]+$/.test(user) ? `_INBOX.${user}` : "_INBOX";
}

async function openSession(connection: RawConnection, address: NatsAddress): Promise<Session> {
  const manager = await connection.jetstreamManager({ timeout: REQUEST_TIMEOUT_MS });
  const newInbox = (): string => createInbox(inboxPrefixOf(address));
  const publisher = new JetStreamPublisher(connection, newInbox(), REQUEST_TIMEOUT_MS);
  return { address, connection, manager, publisher, newInbox };
}

/** Closes the connection. On stop it flushes what was written (acknowledgements) first, unless the server is silent. */
async function close(connection: RawConnection | undefined, stopped: AbortSignal): Promise<void> {
  if (connection === undefined || connection.isClosed()) return;
  if (stopped.aborted) await answers(connection);
  await connection.close();
}

async function answers(connection: RawConnection): Promise<boolean> {
  const answered = connection.flush().then(
    () => true,
    () => false,
  );
  return Promise.race([answered, delay(REACHABLE_TIMEOUT_MS, false, { ref: false })]);
}

/** Resolves after `ms` or when stopped, whichever is first. */
export async function wait(ms: number, stopped: AbortSignal): Promise<void> {
  await delay(Math.max(ms, 0), undefined, { signal: stopped }).catch(() => {});
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
