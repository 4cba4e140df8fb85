import { type Environment, readEnvironment } from "@routeplane/runtime";

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly serviceToken: string;
  readonly databaseUrl: string;
  readonly authUrl: string;
  /** How long a request may be under way before its reservation is charged in full. */
  readonly holdTtlMs: number;
}

const DEFAULT_HOLD_TTL_SECS = 900;
const DAY_SECS = 86_400;

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env: Environment) => ({
    host: env.text("ROUTEPLANE_HOST", "127.0.0.1"),
    port: env.integer("ROUTEPLANE_PORT", { min: 0, max: 65_535 }),
    logLevel: env.text("ROUTEPLANE_LOG_LEVEL", "info"),
    serviceToken: env.text("ROUTEPLANE_SERVICE_TOKEN"),
    databaseUrl: env.url("ROUTEPLANE_DATABASE_URL", ["postgres:", "postgresql:"]),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", ["http:", "https:"]),
    holdTtlMs:
      env.integer("ROUTEPLANE_HOLD_TTL_SECS", { min: 1, max: DAY_SECS, fallback: DEFAULT_HOLD_TTL_SECS }) * 1_000,
  }));
}
