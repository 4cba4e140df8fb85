import {
  parsePeppers,
  parseServiceCredentials,
  type Peppers,
  SERVICE_CREDENTIALS_RULE,
  type ServiceCredentials,
} from "@routeplane/credentials";
import { readEnvironment, readServerConfig, type ServerConfig } from "@routeplane/runtime";

export interface Config extends ServerConfig {
  readonly databaseUrl: string;
  /** Port on which VerificationService alone is served over `@grpc/grpc-js`; 0: any free port. */
  readonly grpcPort: number;
  readonly serviceCredentials: ServiceCredentials;
  /** Peppers of the HMACs of tokens. The first one hashes new tokens; a row names the one that hashed it. */
  readonly peppers: Peppers;
}

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env) => ({
    ...readServerConfig(env),
    grpcPort: env.integer("ROUTEPLANE_GRPC_PORT", { min: 0, max: 65_535 }),
    databaseUrl: env.url("ROUTEPLANE_DATABASE_URL", ["postgres:", "postgresql:"]),
    serviceCredentials: env.parsed("ROUTEPLANE_SERVICE_CREDENTIALS", SERVICE_CREDENTIALS_RULE, parseServiceCredentials),
    peppers: env.parsed("ROUTEPLANE_KEY_PEPPERS", "must be id:hex[,id:hex…] with at least 32 bytes each", parsePeppers),
  }));
}
