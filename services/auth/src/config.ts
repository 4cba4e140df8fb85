import { parsePeppers, type Peppers, type ServiceCredentials } from "@routeplane/credentials";
import { type DatabaseConfig, readDatabaseConfig } from "@routeplane/postgres";
import { readServiceCredentials, readTls, type ServiceTls } from "@routeplane/rpc";
import { type Environment, readEnvironment, readServerConfig, type ServerConfig } from "@routeplane/runtime";

export interface Config extends ServerConfig {
  /** TLS between services; undefined: clear text. */
  readonly tls: ServiceTls | undefined;
  readonly database: DatabaseConfig;
  /** Port that serves only VerificationService, over `@grpc/grpc-js`; 0 for any free port. */
  readonly grpcPort: number;
  readonly serviceCredentials: ServiceCredentials;
  readonly policyUrl: string;
  /** Address of the console, as browsers reach it, without a slash at its end; undefined: not known. */
  readonly consoleUrl: string | undefined;
  /** Peppers of the HMACs of tokens. The first one hashes new tokens; a row names the one that hashed it. */
  readonly peppers: Peppers;
  /** Maximum size of the cache of verified keys. */
  readonly keyCacheBytes: number;
  /** Time for which a verified key is cached, unless a change invalidates it. */
  readonly cacheMaxAgeMs: number;
}

/** Default size of the pool. The pools of all processes fit a server of 100 connections, also during a rolling restart. */
const DEFAULT_POOL_SIZE = 8;
const MEBIBYTE = 1024 ** 2;
/** Size of the cache of verified keys: a key takes 1 KB, so about 50,000 by default. */
const KEY_CACHE_BYTES = { min: MEBIBYTE, max: 16 * 1024 * MEBIBYTE, fallback: 64 * MEBIBYTE };
const HTTP = ["http:", "https:"];
const CACHE_MAX_AGE_SECS = { min: 1, max: 86_400, fallback: 900 };

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env) => ({
    ...readServerConfig(env),
    tls: readTls(env),
    grpcPort: env.integer("ROUTEPLANE_GRPC_PORT", { min: 0, max: 65_535 }),
    database: readDatabaseConfig(env, { poolSize: DEFAULT_POOL_SIZE }),
    serviceCredentials: readServiceCredentials(env),
    policyUrl: env.url("ROUTEPLANE_POLICY_URL", HTTP),
    consoleUrl: readConsoleUrl(env),
    peppers: readPeppers(env),
    keyCacheBytes: env.integer("ROUTEPLANE_KEY_CACHE_BYTES", KEY_CACHE_BYTES),
    cacheMaxAgeMs: env.integer("ROUTEPLANE_CACHE_MAX_AGE_SECS", CACHE_MAX_AGE_SECS) * 1_000,
  }));
}

function readConsoleUrl(env: Environment): string | undefined {
  const name = "ROUTEPLANE_CONSOLE_URL";
  const parse = (text: string): string | undefined =>
    HTTP.includes(URL.parse(text)?.protocol ?? "") ? text.replace(/\/+$/, "") : undefined;
  return env.optionalText(name) && env.parsed(name, "must be a URL that starts http:// or https://", parse);
}

/** Returns peppers that follow the changes of their file. */
function readPeppers(env: Environment): Peppers {
  const rule = "must be id:hex[,id:hex…] with at least 32 bytes each";
  const peppers = env.parsedSecret("ROUTEPLANE_KEY_PEPPERS", rule, parsePeppers);
  return {
    get current() {
      return peppers.current.current;
    },
    find: (id) => peppers.current.find(id),
  };
}
