import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";

export interface ListenOptions {
  /** Straight to the server, or through a pooler that keeps sessions: LISTEN is the session's. */
  readonly url: string;
  readonly schema: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly channel: string;
  /** SQL of one row with one column, asked on the listening connection once it listens and then every `intervalMs`. */
  readonly probe: string;
  readonly intervalMs: number;
  readonly onNotification: (payload: string) => void;
  /**
   * The probe was answered in time. Notifications arrive before the answer of a probe that was asked after their commit.
   *
   * @param fresh whether the connection is new: what was announced before this answer may have been missed
   */
  readonly onProbe: (answer: string, fresh: boolean) => void;
  /** The connection is lost; another is being made. */
  readonly onLost: (cause: unknown) => void;
}

export interface ListenConnection {
  readonly name: string;
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A connection whose server is silent for this long is lost. */
const PROBE_TIMEOUT_MS = 1_000;
const RECONNECT_MS = 200;

/** Holds one connection that listens on a channel, and makes another whenever it is lost, until it is stopped. */
export function listen(options: ListenOptions): ListenConnection {
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await session(options, signal).catch((error: unknown) => {
        if (!signal.aborted) options.onLost(error);
      });
      await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    name: `listener ${options.applicationName}`,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** @throws Error once the connection is lost */
async function session(options: ListenOptions, signal: AbortSignal): Promise<void> {
  const { url, schema, applicationName, channel, probe, intervalMs } = options;
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: PROBE_TIMEOUT_MS,
    options: `-c search_path=${schema}`,
  });
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  client.on("error", lost.reject);
  client.on("end", () => lost.reject(new Error("the connection was closed")));
  client.on("notification", ({ payload = "" }) => options.onNotification(payload));
  try {
    await client.connect();
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    for (let fresh = true; !signal.aborted; fresh = false) {
      const { rows } = await client.query<[unknown]>({ text: probe, rowMode: "array" });
      options.onProbe(String(rows[0]?.[0]), fresh);
      await Promise.race([delay(intervalMs, undefined, { signal }).catch(() => {}), lost.promise]);
    }
  } finally {
    // Not waited for: a server that has gone silent does not say goodbye.
    client.end().catch(() => {});
  }
}
