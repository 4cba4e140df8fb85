import { nodeHome } from "@routeplane/standalone/home";
import { usageError } from "./errors.ts";

/** Settings from the environment. Nothing else in the CLI reads it. */
export interface Settings {
  /** Folder of the saved login: ROUTEPLANE_HOME, else the default of `nodeHome`. Absolute; need not exist. */
  readonly home: string;
  /** Address of the node from ROUTEPLANE_URL, unchecked. */
  readonly url: string | undefined;
  /** ROUTEPLANE_API_KEY, which takes precedence over the saved login. */
  readonly apiKey: string | undefined;
  /** ROUTEPLANE_OPERATOR_KEY, which takes precedence over the saved operator credential. */
  readonly operatorKey: string | undefined;
  /** Port of `up` from ROUTEPLANE_PORT, unchecked. */
  readonly port: string | undefined;
  /** All variables, for the processes that `up` starts. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const value = (name: string): string | undefined => environment[name]?.trim() || undefined;
  return Object.freeze({
    home: nodeHome(environment),
    url: value("ROUTEPLANE_URL"),
    apiKey: value("ROUTEPLANE_API_KEY"),
    operatorKey: value("ROUTEPLANE_OPERATOR_KEY"),
    port: value("ROUTEPLANE_PORT"),
    environment,
  });
}

/**
 * Checks the address of a node, and removes a slash at its end.
 *
 * @param name of the variable or file that holds it, for the error, which does not repeat the address: it may hold a password
 * @throws CliError usage
 */
export function requireNodeUrl(name: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const fits = url !== undefined && ["http:", "https:"].includes(url.protocol);
  if (fits && url.username + url.password + url.search + url.hash === "") return text.replace(/\/+$/, "");
  throw usageError(
    `${name}: must be the node's address, e.g. http://127.0.0.1:8080, without a user, password or query`,
  );
}
