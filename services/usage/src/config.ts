import { type NatsAddress, parseNatsUrl } from "@routeplane/events";
import { type Environment, readEnvironment, readServerConfig, type ServerConfig } from "@routeplane/runtime";

type Variables = Readonly<Record<string, string | undefined>>;

/** What both processes read. */
interface ProcessConfig extends ServerConfig {
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
    ...readServerConfig(env),
    databaseUrl: env.url("ROUTEPLANE_DATABASE_URL", ["postgres:", "postgresql:"]),
  };
}
