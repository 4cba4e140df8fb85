import { setTimeout as delay } from "node:timers/promises";
import type { Logger, WatchedSecret } from "@routeplane/runtime";
import pg from "pg";
import { OPEN_TIMEOUT_MS } from "./connect-in-time.ts";
import { connectionFailure } from "./errors.ts";
import { createLogin, type Login } from "./login.ts";

export interface ListenOptions {
  /**
   * Connection string of the server itself, or of a pooler in session mode: LISTEN belongs to a session. A changed one takes effect once
   * the server accepts it: a new connection then replaces the old one.
   */
  readonly url: string | WatchedSecret;
  /** Logger of changed connection strings. None by default. */
  readonly log?: Logger | undefined;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly channel: string;
  /** SQL that returns one row of one column, with names in the role's search_path; run on the listening connection once it listens and then every `intervalMs`. */
  readonly probe: string;
  readonly intervalMs: number;
  readonly onNotification: (payload: string) => void;
  /** Second channel on the same connection; none by default. */
  readonly second?: { readonly channel: string; readonly onNotification: (payload: string) => void } | undefined;
  /**
   * Called with the result of each probe. Notifications arrive before the result of a probe that was sent after their commit.
   *
   * @param fresh true if the connection is new: notifications before this result may have been missed
   */
  readonly onProbe: (result: string, fresh: boolean) => void;
  /** Called when the connection is lost; a new one is being opened. */
  readonly onLost: (cause: unknown) => void;
}

/** A running LISTEN. */
export interface ListenConnection {
  readonly name: string;
  stop(): Promise<void>;
}

/** Longest wait for a probe; after it the connection counts as lost. */
const PROBE_TIMEOUT_MS = 1_000;
const RECONNECT_MS = 200;

/** Listens on a channel over a connection of its own, and reconnects whenever it is lost, until it is stopped. */
export function listen(options: ListenOptions): ListenConnection {
  const stopping = new AbortController();
  const { signal } = stopping;
  const login = createLogin(options.url, options.log);
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await listenOnce(options, login, signal);
      } catch (error) {
        if (!signal.aborted) options.onLost(error);
        await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
      }
    }
  };
  const running = run();
  return {
    name: `listener ${options.applicationName}`,
    async stop() {
      stopping.abort();
      login.stop();
      await running;
    },
  };
}

/** Listens until the login is replaced. @throws Error when the connection is lost */
async function listenOnce(options: ListenOptions, login: Login, signal: AbortSignal): Promise<void> {
  const { applicationName, channel, second, probe, intervalMs } = options;
  const connectionString = login.current;
  const client = new pg.Client({
    connectionString,
    application_name: applicationName,
    connectionTimeoutMillis: OPEN_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
  });
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  client.on("error", lost.reject);
  client.on("end", () => lost.reject(new Error("the connection was closed")));
  client.on("notification", ({ channel: from, payload = "" }) =>
    from === second?.channel ? second.onNotification(payload) : options.onNotification(payload),
  );
  try {
    await client.connect().catch((error: unknown) => {
      throw connectionFailure(error, "ROUTEPLANE_DATABASE_LISTEN_URL, or else ROUTEPLANE_DATABASE_URL");
    });
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    if (second !== undefined) await client.query(`listen ${pg.escapeIdentifier(second.channel)}`);
    for (let fresh = true; !signal.aborted && connectionString === login.current; fresh = false) {
      const { rows } = await client.query<[unknown]>({ text: probe, rowMode: "array" });
      options.onProbe(String(rows[0]?.[0]), fresh);
      await Promise.race([delay(intervalMs, undefined, { signal }).catch(() => {}), lost.promise]);
    }
  } finally {
    // Not awaited: an unreachable server never confirms the end.
    client.end().catch(() => {});
  }
}
