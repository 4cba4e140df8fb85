import { setTimeout as delay } from "node:timers/promises";
import type { Component, Logger } from "@routeplane/runtime";
import {
  connect,
  createInbox,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection as RawConnection,
} from "nats";
import type { NatsAddress } from "./address.ts";

/** One established connection, with its JetStream clients. It ends with the connection; a reconnect opens another session. */
export interface Session {
  /** Returns a new subject for answers to this connection. */
  readonly newInbox: () => string;
  readonly connection: RawConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
}

export interface ConnectionOptions {
  readonly nats: NatsAddress;
  readonly log: Logger;
  /** Name of the connection at the server, e.g. `gateway`. */
  readonly name: string;
}

/** Connection to NATS that is opened again, for ever, whenever it is lost. */
export interface NatsConnection extends Component {
  /** Returns the current session; undefined while disconnected. */
  session(): Session | undefined;
  /** Resolves to the session as soon as there is one; to undefined after `timeoutMs` or once stopped. */
  untilConnected(timeoutMs: number): Promise<Session | undefined>;
  /** Returns the milliseconds since there was last a session; 0 while there is one. */
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

/**
 * Opens a connection in the background: a process can start while NATS is down. The client's own reconnecting is off, so that
 * every connection passes through `prepare`, and requests that wait for an answer on a lost one fail at once.
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
    let connection: RawConnection | undefined;
    try {
      connection = await connect(toClientOptions(options));
      const session = await openSession(connection, options);
      await prepare(session);
      setSession(session);
      if (failures > 0) log.info({ failures }, "connected to nats again");
      failures = 0;
      await Promise.race([connection.closed(), aborted(stopped)]);
      if (!stopped.aborted) log.warn("lost the connection to nats");
    } catch (error) {
      // Logs the first failure, and every 30th while it lasts.
      if (failures++ % 30 === 0) log.warn({ err: error, failures }, "cannot connect to nats");
    } finally {
      setSession(undefined);
      await close(connection, stopped);
    }
    await wait(Math.min(MIN_WAIT_MS * 2 ** Math.min(failures, 5), MAX_WAIT_MS), stopped);
  }
}

function toClientOptions({ nats, name }: ConnectionOptions) {
  return {
    servers: [...nats.servers],
    name,
    ...(nats.user === undefined ? {} : { user: nats.user, pass: nats.password ?? "" }),
    ...(nats.tls ? { tls: {} } : {}),
    timeout: CONNECT_TIMEOUT_MS,
    reconnect: false,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: MAX_PINGS_OUT,
    noAsyncTraces: true,
    inboxPrefix: inboxPrefixOf(nats),
  };
}

/** Returns the prefix of the user's own subjects for answers: permissions keep users from reading each other's. */
function inboxPrefixOf({ user = "" }: NatsAddress): string {
  return /^[\w-]+$/.test(user) ? `_INBOX.${user}` : "_INBOX";
}

async function openSession(connection: RawConnection, { nats }: ConnectionOptions): Promise<Session> {
  const manager = await connection.jetstreamManager({ timeout: REQUEST_TIMEOUT_MS });
  const jetstream = connection.jetstream({ timeout: REQUEST_TIMEOUT_MS });
  return { connection, manager, jetstream, newInbox: () => createInbox(inboxPrefixOf(nats)) };
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
