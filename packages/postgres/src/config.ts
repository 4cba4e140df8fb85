import type { Environment, WatchedSecret } from "@routeplane/runtime";

/** Connections of a process to its database. */
export interface DatabaseConfig {
  /** Connection string; a pooler in transaction mode is allowed. */
  readonly url: WatchedSecret;
  /** Connection string of the server itself, or of a pooler in session mode: LISTEN belongs to a session. */
  readonly listenUrl: WatchedSecret;
  /** Maximum number of connections of the pool, without the connection of a change feed. */
  readonly poolSize: number;
  /** Maximum run time of one statement. */
  readonly statementTimeoutMs: number;
}

export const DEFAULT_STATEMENT_TIMEOUT_MS = 5_000;

/** Minimum size of a pool, because one namespace uses at most half of it at a time. */
const MIN_POOL_SIZE = 2;
const MAX_POOL_SIZE = 200;

const LISTEN_URL = "ROUTEPLANE_DATABASE_LISTEN_URL";
const SCHEMES = ["postgres:", "postgresql:"];

/** Reads the variables ROUTEPLANE_DATABASE_…. */
export function readDatabaseConfig(env: Environment, defaults: { readonly poolSize: number }): DatabaseConfig {
  const url = env.secretUrl("ROUTEPLANE_DATABASE_URL", SCHEMES);
  const hasListenUrl = [LISTEN_URL, `${LISTEN_URL}_FILE`].some((name) => env.optionalText(name) !== undefined);
  return {
    url,
    listenUrl: hasListenUrl ? env.secretUrl(LISTEN_URL, SCHEMES) : url,
    poolSize: env.integer("ROUTEPLANE_DATABASE_POOL_SIZE", {
      min: MIN_POOL_SIZE,
      max: MAX_POOL_SIZE,
      fallback: defaults.poolSize,
    }),
    statementTimeoutMs: env.integer("ROUTEPLANE_DATABASE_STATEMENT_TIMEOUT_MS", {
      min: 100,
      max: 60_000,
      fallback: DEFAULT_STATEMENT_TIMEOUT_MS,
    }),
  };
}
