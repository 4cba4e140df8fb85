import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { nodeHome } from "@routeplane/standalone/home";
import { usageError } from "./errors.ts";

/** Settings from the environment. Nothing else in the CLI reads it. */
export interface Settings {
  /** Folder of the saved login: ROUTEPLANE_HOME, else the default of `nodeHome`. Absolute; need not exist. */
  readonly home: string;
  /** True if ROUTEPLANE_HOME names the home. */
  readonly isHomeNamed: boolean;
  /** Folder of the contexts: `routeplane` in $XDG_CONFIG_HOME or ~/.config. Need not exist. */
  readonly configFolder: string;
  /** Name of a context from --context or ROUTEPLANE_CONTEXT, unchecked. */
  readonly context: string | undefined;
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

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the settings. @param defaultHome home without ROUTEPLANE_HOME; by default that of `nodeHome` */
export function readSettings(environment: Environment, defaultHome?: string): Settings {
  const value = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const isHomeNamed = value("ROUTEPLANE_HOME") !== undefined;
  return Object.freeze({
    home: isHomeNamed || defaultHome === undefined ? nodeHome(environment) : defaultHome,
    isHomeNamed,
    configFolder: userConfigFolder(environment),
    context: value("ROUTEPLANE_CONTEXT"),
    url: value("ROUTEPLANE_URL"),
    apiKey: value("ROUTEPLANE_API_KEY"),
    operatorKey: value("ROUTEPLANE_OPERATOR_KEY"),
    port: value("ROUTEPLANE_PORT"),
    environment,
  });
}

/** Folder of the user's settings for this program. A relative XDG_CONFIG_HOME is ignored, as its specification requires. */
export function userConfigFolder({ XDG_CONFIG_HOME: configHome = "", HOME: home = "" }: Environment): string {
  const base = isAbsolute(configHome.trim()) ? configHome.trim() : join(home || homedir(), ".config");
  return join(base, "routeplane");
}

/**
 * Checks the address of a node, and removes a slash at its end.
 *
 * @param name of the variable or file that holds the address, for the error; the address itself may hold a password and is not repeated
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
