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

/** A live connection. Ends with the connection; the next one is another session. */
export interface Session {
  /** A new subject that answers to this connection come to. */
  readonly newInbox: () => string;
  readonly connection: RawConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
}

export interface ConnectionOptions {
  readonly nats: NatsAddress;
  readonly log: Logger;
  /** Shown by the server for this connection, e.g. `gateway`. */
  readonly name: string;
}

/** A connection that is made anew, for ever, whenever there is none. */
export interface NatsConnection extends Component {
  /** The live session; undefined while NATS is away. */
  session(): Session | undefined;
  /** The live session as soon as there is one; undefined after `timeoutMs` or once stopped. */
  untilConnected(timeoutMs: number): Promise<Session | undefined>;
  /** Milliseconds since there was last a session; 0 while there is one. */
  disconnectedForMs(): number;
  /** Whether NATS answers now; false after a second without an answer. */
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
 * Connects in the background: a process may start while NATS is away. The client's own reconnecting is off, so that every
 * connection passes through `prepare`, and so that whatever waits for an answer on a broken one fails at once.
 *
 * @param prepare declares what the session needs; a failure ends the session and is tried again
 */
export function openConnection(
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
): NatsConnection {
  const stopped = new AbortController();
  let live: Session | undefined;
  let lastUp = performance.now();
  let changed = Promise.withResolvers<void>();

  const setLive = (session: Session | undefined): void => {
    if (live !== undefined) lastUp = performance.now();
    live = session;
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };

  const running = keepConnected(options, prepare, setLive, stopped.signal);
  return {
    name: `nats connection ${options.name}`,
    session: () => live,
    disconnectedForMs: () => (live === undefined ? performance.now() - lastUp : 0),
    async untilConnected(timeoutMs) {
      const until = performance.now() + timeoutMs;
      for (;;) {
        const leftMs = until - performance.now();
        if (live !== undefined || stopped.signal.aborted || leftMs <= 0) return live;
        await Promise.race([changed.promise, wait(leftMs, stopped.signal)]);
      }
    },
    isReachable: async () => live !== undefined && (await answers(live.connection)),
    async stop() {
      stopped.abort();
      await running;
    },
  };
}

async function keepConnected(
  options: ConnectionOptions,
  prepare: (session: Session) => Promise<void>,
  setLive: (session: Session | undefined) => void,
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
      setLive(session);
      if (failures > 0) log.info({ failures }, "nats is back");
      failures = 0;
      await Promise.race([connection.closed(), aborted(stopped)]);
      if (!stopped.aborted) log.warn("lost the connection to nats");
    } catch (error) {
      // The first failure says what is wrong; those after it only that it lasts.
      if (failures++ % 30 === 0) log.warn({ err: error, failures }, "nats is not usable");
    } finally {
      setLive(undefined);
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

/** Answers come to subjects of the user's own, so that permissions can keep users from listening to each other's. */
function inboxPrefixOf({ user = "" }: NatsAddress): string {
  return /^[\w-]+$/.test(user) ? `_INBOX.${user}` : "_INBOX";
}

async function openSession(connection: RawConnection, { nats }: ConnectionOptions): Promise<Session> {
  const manager = await connection.jetstreamManager({ timeout: REQUEST_TIMEOUT_MS });
  const jetstream = connection.jetstream({ timeout: REQUEST_TIMEOUT_MS });
  return { connection, manager, jetstream, newInbox: () => createInbox(inboxPrefixOf(nats)) };
}

/** On stop what was written (acknowledgements) is flushed first, unless the server is silent. */
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
