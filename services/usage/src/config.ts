import { type NatsAddress, parseNatsUrl } from "@routeplane/events";
import { type Environment, readEnvironment } from "@routeplane/runtime";

type Variables = Readonly<Record<string, string | undefined>>;

/** What both processes read. */
interface ProcessConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly serviceToken: string;
  readonly databaseUrl: string;
}

/** The query API. */
export interface Config extends ProcessConfig {
  readonly authUrl: string;
}

export interface AggregatorConfig extends ProcessConfig {
  readonly nats: NatsAddress;
}

export function readConfig(variables: Variables): Config {
  return readEnvironment(variables, (env) => ({
    ...readProcess(env),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", ["http:", "https:"]),
  }));
}

export function readAggregatorConfig(variables: Variables): AggregatorConfig {
  return readEnvironment(variables, (env) => ({
    ...readProcess(env),
    nats: env.parsed("ROUTEPLANE_NATS_URL", "must be nats://[user:password@]host[:port][,…]", parseNatsUrl),
  }));
}

function readProcess(env: Environment): ProcessConfig {
  return {
    host: env.text("ROUTEPLANE_HOST", "127.0.0.1"),
    port: env.integer("ROUTEPLANE_PORT", { min: 0, max: 65_535 }),
    logLevel: env.text("ROUTEPLANE_LOG_LEVEL", "info"),
    serviceToken: env.text("ROUTEPLANE_SERVICE_TOKEN"),
    databaseUrl: env.url("ROUTEPLANE_DATABASE_URL", ["postgres:", "postgresql:"]),
  };
}
