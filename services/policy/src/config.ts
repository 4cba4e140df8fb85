import type { ServiceCredentials } from "@routeplane/credentials";
import { type DatabaseConfig, readDatabaseConfig } from "@routeplane/postgres";
import { readServiceCredentials, readTls, type ServiceTls } from "@routeplane/rpc";
import { readEnvironment, readServerConfig, type ServerConfig, type WatchedSecret } from "@routeplane/runtime";

export interface Config extends ServerConfig {
  /** TLS between services; undefined: clear text. */
  readonly tls: ServiceTls | undefined;
  readonly database: DatabaseConfig;
  /** Port of the hot methods over plain gRPC; 0 for any free port. */
  readonly grpcPort: number;
  readonly authUrl: string;
  readonly usageUrl: string;
  /** Credential presented to other services. */
  readonly serviceToken: WatchedSecret;
  /** Credentials accepted from other services. */
  readonly serviceCredentials: ServiceCredentials;
  /** Time after which an open reservation expires and is charged in full. */
  readonly reservationTtlMs: number;
}

const DEFAULT_RESERVATION_TTL_SECS = 900;
const DAY_SECS = 86_400;

/** Default size of the pool. The pools of all processes fit a server of 100 connections, also during a rolling restart. */
const DEFAULT_POOL_SIZE = 7;

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env) => ({
    ...readServerConfig(env),
    tls: readTls(env),
    grpcPort: env.integer("ROUTEPLANE_GRPC_PORT", { min: 0, max: 65_535 }),
    database: readDatabaseConfig(env, { poolSize: DEFAULT_POOL_SIZE }),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", ["http:", "https:"]),
    usageUrl: env.url("ROUTEPLANE_USAGE_URL", ["http:", "https:"]),
    serviceToken: env.secret("ROUTEPLANE_SERVICE_TOKEN"),
    serviceCredentials: readServiceCredentials(env),
    reservationTtlMs:
      env.integer("ROUTEPLANE_HOLD_TTL_SECS", { min: 1, max: DAY_SECS, fallback: DEFAULT_RESERVATION_TTL_SECS }) *
      1_000,
  }));
}
