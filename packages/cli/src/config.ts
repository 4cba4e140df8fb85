import { nodeHome } from "@routeplane/standalone/home";
import { usageError } from "./errors.ts";

/** What the environment says. The only reader of it. */
export interface Settings {
  /** Where the saved login lies: ROUTEPLANE_HOME, else the checkout's own. Absolute; need not exist. */
  readonly home: string;
  /** ROUTEPLANE_URL, if set: where the node is. As it was given. */
  readonly url: string | undefined;
  /** ROUTEPLANE_API_KEY, if set: wins over the saved login. */
  readonly apiKey: string | undefined;
  /** ROUTEPLANE_OPERATOR_KEY, if set: wins over the saved operator credential. */
  readonly operatorKey: string | undefined;
  /** ROUTEPLANE_PORT, if set: where `up` serves. */
  readonly port: string | undefined;
  /** All of it, for the processes that `up` starts. */
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

/** `text` as the address of a node, without a slash at its end. It is not repeated in the error: it may hold a password. */
export function requireNodeUrl(name: string, text: string): string {
  const url = URL.parse(text);
  const fits = url !== null && ["http:", "https:"].includes(url.protocol);
  if (fits && url.username + url.password + url.search + url.hash === "") return text.replace(/\/+$/, "");
  throw usageError(
    `${name}: must be the node's address, e.g. http://127.0.0.1:8080, without a user, password or query`,
  );
}
