import { parsePeppers, type Peppers } from "@routeplane/credentials";
import { type Environment, readEnvironment } from "@routeplane/runtime";

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  readonly serviceToken: string;
  readonly databaseUrl: string;
  /** What secrets are hashed with; the first one hashes new ones. */
  readonly peppers: Peppers;
}

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env: Environment) => ({
    host: env.text("ROUTEPLANE_HOST", "127.0.0.1"),
    port: env.integer("ROUTEPLANE_PORT", { min: 0, max: 65_535 }),
    logLevel: env.text("ROUTEPLANE_LOG_LEVEL", "info"),
    serviceToken: env.text("ROUTEPLANE_SERVICE_TOKEN"),
    databaseUrl: env.url("ROUTEPLANE_DATABASE_URL", ["postgres:", "postgresql:"]),
    peppers: env.parsed("ROUTEPLANE_KEY_PEPPERS", "must be id:hex[,id:hex…] with at least 32 bytes each", parsePeppers),
  }));
}
