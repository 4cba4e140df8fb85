import { join } from "node:path";
import { readTls, type ServiceTls } from "@routeplane/rpc";
import {
  type Environment,
  readEnvironment,
  readServerConfig,
  readTrustedProxies,
  type ServerConfig,
  type TrustedProxies,
  type Watched,
  type WatchedSecret,
} from "@routeplane/runtime";
import { parseSealKeys, SEAL_KEYS_RULE, type SealKeys } from "./domain/seal-keys.ts";
import { parsePublicOrigin } from "./handlers/page-origin.ts";

export interface Config extends ServerConfig {
  /** TLS between services; undefined: clear text. */
  readonly tls: ServiceTls | undefined;
  /** Credential of the console at the other services. */
  readonly serviceToken: WatchedSecret;
  readonly authUrl: string;
  readonly policyUrl: string;
  readonly usageUrl: string;
  /** Keys of session cookies. The first one seals; any of them opens. */
  readonly sealKeys: Watched<SealKeys>;
  /** Address that people open; undefined if the console is reached on the machine itself only. */
  readonly publicOrigin: URL | undefined;
  /** Proxies that are trusted to report the addresses of their clients. */
  readonly trustedProxies: TrustedProxies;
  /** Address at which clients call models, for the page's snippets; empty if it is not configured. */
  readonly gatewayUrl: string;
  /** Folder of the built app. */
  readonly appFolder: string;
}

const HTTP = ["http:", "https:"];
/** Folder in which the app is built in a checkout. */
const BUILT_APP = join(import.meta.dirname, "../dist");

export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  return readEnvironment(variables, (env) => ({
    ...readServerConfig(env),
    tls: readTls(env),
    serviceToken: env.secret("ROUTEPLANE_SERVICE_TOKEN"),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", HTTP),
    policyUrl: env.url("ROUTEPLANE_POLICY_URL", HTTP),
    usageUrl: env.url("ROUTEPLANE_USAGE_URL", HTTP),
    sealKeys: env.parsedSecret("ROUTEPLANE_CONSOLE_KEYS", SEAL_KEYS_RULE, parseSealKeys),
    publicOrigin: readPublicOrigin(env),
    trustedProxies: readTrustedProxies(env),
    gatewayUrl: readGatewayUrl(env),
    appFolder: env.text("ROUTEPLANE_CONSOLE_DIR", BUILT_APP),
  }));
}

function readPublicOrigin(env: Environment): URL | undefined {
  const name = "ROUTEPLANE_CONSOLE_URL";
  const rule = "must be https:// and a host without a path; http:// only on the machine itself";
  return env.optionalText(name) === undefined ? undefined : env.parsed(name, rule, parsePublicOrigin);
}

/** Reads the address, without a trailing slash; empty if it is not set. */
function readGatewayUrl(env: Environment): string {
  const name = "ROUTEPLANE_GATEWAY_URL";
  const parse = (text: string): string | undefined =>
    HTTP.includes(URL.parse(text)?.protocol ?? "") ? text.replace(/\/+$/, "") : undefined;
  return env.optionalText(name) === undefined
    ? ""
    : env.parsed(name, "must be a URL that starts http:// or https://", parse);
}
