import type { ServiceCredentials } from "@routeplane/credentials";
import { type NatsAddress, readNatsAddress, readStreamSettings, type StreamSettings } from "@routeplane/events";
import { type DatabaseConfig, readDatabaseConfig } from "@routeplane/postgres";
import { readServiceCredentials, readTls, type ServiceTls } from "@routeplane/rpc";
import {
  type Environment,
  readEnvironment,
  readServerConfig,
  type ServerConfig,
  type Watched,
  type WatchedSecret,
} from "@routeplane/runtime";

type Variables = Readonly<Record<string, string | undefined>>;

/** Settings of both processes. */
interface ProcessConfig extends ServerConfig {
  /** TLS between services; undefined: clear text. */
  readonly tls: ServiceTls | undefined;
  readonly database: DatabaseConfig;
}

/** Settings of the query API. */
export interface Config extends ProcessConfig {
  readonly authUrl: string;
  /** Service credential that it presents to other services. */
  readonly serviceToken: WatchedSecret;
  /** Service credentials that it accepts. */
  readonly serviceCredentials: ServiceCredentials;
}

export interface AggregatorConfig extends ProcessConfig {
  readonly nats: Watched<NatsAddress>;
  /** Names and bounds of the stream of usage events. */
  readonly stream: StreamSettings;
  /** Retention of the request log. */
  readonly retentionDays: number;
  /** Retention of the sums, not shorter than that of the request log. */
  readonly sumRetentionDays: number;
  /** Size of a month of the request log above which the next month gets a partition for each day; undefined: never. */
  readonly dailyPartitionsFromBytes: number | undefined;
}

/** Minimum retention: the default range of usage, 30 days, can be read from requests. */
const MIN_RETENTION_DAYS = 30;
const MAX_RETENTION_DAYS = 36_500;
const DEFAULT_RETENTION_DAYS = 400;
const DEFAULT_SUM_RETENTION_DAYS = 3_650;
const GIBIBYTE = 2 ** 30;

/** Default sizes of the pools. The pools of all processes fit a server of 100 connections, also during a rolling restart. */
const DEFAULT_POOL_SIZE = 6;
/** Connections for two batches, one for health and registration, and three that the jobs share. */
const DEFAULT_AGGREGATOR_POOL_SIZE = 6;

export function readConfig(variables: Variables): Config {
  return readEnvironment(variables, (env) => ({
    ...readProcess(env, DEFAULT_POOL_SIZE),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", ["http:", "https:"]),
    serviceToken: env.secret("ROUTEPLANE_SERVICE_TOKEN"),
    serviceCredentials: readServiceCredentials(env),
  }));
}

export function readAggregatorConfig(variables: Variables): AggregatorConfig {
  return readEnvironment(variables, (env) => ({
    ...readProcess(env, DEFAULT_AGGREGATOR_POOL_SIZE),
    operationsPorts: [...readServerConfig(env).operationsPorts, ...readMetricsPort(env)],
    nats: readNatsAddress(env),
    stream: readStreamSettings(env),
    ...readRetention(env),
    dailyPartitionsFromBytes: readDailyPartitions(env),
  }));
}

/** Reads how long requests and their sums are kept. No sum is dropped before its requests. */
function readRetention(env: Environment): Pick<AggregatorConfig, "retentionDays" | "sumRetentionDays"> {
  const bounds = { min: MIN_RETENTION_DAYS, max: MAX_RETENTION_DAYS };
  const retentionDays = env.integer("ROUTEPLANE_RETENTION_DAYS", { ...bounds, fallback: DEFAULT_RETENTION_DAYS });
  const fallback = Math.max(DEFAULT_SUM_RETENTION_DAYS, retentionDays);
  const sumRetentionDays = env.integer("ROUTEPLANE_ROLLUP_RETENTION_DAYS", { ...bounds, min: retentionDays, fallback });
  return { retentionDays, sumRetentionDays };
}

function readDailyPartitions(env: Environment): number | undefined {
  const gibibytes = env.integer("ROUTEPLANE_DAILY_PARTITIONS_FROM_GIB", { min: 0, max: 1_000_000, fallback: 0 });
  return gibibytes === 0 ? undefined : gibibytes * GIBIBYTE;
}

/** Reads the port on which aggregators served metrics before every process had an operations port. */
function readMetricsPort(env: Environment): readonly number[] {
  if (env.optionalText("ROUTEPLANE_METRICS_PORT") === undefined) return [];
  return [env.integer("ROUTEPLANE_METRICS_PORT", { min: 0, max: 65_535 })];
}

function readProcess(env: Environment, poolSize: number): ProcessConfig {
  return {
    ...readServerConfig(env),
    tls: readTls(env),
    database: readDatabaseConfig(env, { poolSize }),
  };
}
