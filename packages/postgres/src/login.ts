import { setTimeout as delay } from "node:timers/promises";
import { currentOf, type Logger, type WatchedSecret } from "@routeplane/runtime";
import pg from "pg";
import { isRefusedLogin } from "./errors.ts";
import { OPEN_TIMEOUT_MS } from "./connect-in-time.ts";

/** Pause between attempts with a new connection string; doubled for each failure. */
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 2_000;
/** Number of attempts of which only the first is logged. */
const LOGGED_ATTEMPTS = 30;
/** Maximum wait for a new login that the server accepts, while it refuses the current one. */
export const REFUSED_TIMEOUT_MS = 2_000;
const REFUSED_PAUSE_MS = 50;

export interface Login {
  /** Connection string that the server accepted last; initially the one at the start. New connections use it. */
  readonly current: string;
  /** Calls `listener` whenever a new connection string has replaced `current`. */
  onReplaced(listener: () => void): void;
  /**
   * Repeats `connect` while the server refuses the login, for `REFUSED_TIMEOUT_MS` at most: between the change of a password and the change
   * of its file, only open connections work.
   */
  connectBy<T>(connect: () => Promise<T>): Promise<T>;
  stop(): void;
}

/**
 * Login of a process at the database. A changed connection string takes effect once the server has accepted it; until then the former one
 * is used. So the password in the file and that of the role can be replaced in either order.
 */
export function createLogin(url: string | WatchedSecret, log?: Logger): Login {
  const stopped = new AbortController();
  const { signal } = stopped;
  const listeners: (() => void)[] = [];
  let current = currentOf(url);
  let isTrying = false;

  const tryLatest = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted && currentOf(url) !== current;) {
      const latest = currentOf(url);
      try {
        await tryOnce(latest);
        current = latest;
        failures = 0;
        log?.info("the database accepts the new connection string");
        for (const listener of listeners) listener();
      } catch (error) {
        if (failures++ % LOGGED_ATTEMPTS === 0)
          log?.error({ err: error }, "cannot connect with the new ROUTEPLANE_DATABASE_URL: the former stays");
        const pauseMs = Math.min(MIN_PAUSE_MS * 2 ** Math.min(failures, 5), MAX_PAUSE_MS);
        await delay(pauseMs, undefined, { signal }).catch(() => {});
      }
    }
  };
  const unsubscribe =
    typeof url === "string"
      ? undefined
      : url.onChange(() => {
          if (isTrying) return;
          isTrying = true;
          void tryLatest().finally(() => (isTrying = false));
        });

  return {
    get current() {
      return current;
    },
    onReplaced: (listener) => void listeners.push(listener),
    async connectBy(connect) {
      const until = performance.now() + REFUSED_TIMEOUT_MS;
      for (;;) {
        try {
          return await connect();
        } catch (error) {
          if (!isRefusedLogin(error) || signal.aborted || performance.now() >= until) throw error;
        }
        await delay(REFUSED_PAUSE_MS);
      }
    },
    stop() {
      stopped.abort();
      unsubscribe?.();
    },
  };
}

/** Connects and closes the connection. @throws Error of the driver */
async function tryOnce(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: OPEN_TIMEOUT_MS });
  client.on("error", () => {});
  try {
    await client.connect();
  } finally {
    // Not awaited: an unreachable server never confirms the end.
    client.end().catch(() => {});
  }
}
