/**
 * Configuration of a process: environment in, one frozen object out, with all faults in one error. A process reads it once, in its
 * config.ts, the only reader of `process.env`.
 */
import { SecretFault, SecretFiles } from "./secret-files.ts";
import { constant, type Watched, type WatchedSecret } from "./watched.ts";

/** Error for faults of the environment. The message lists each faulty variable with its rule. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

/** Readers of one variable each. A required variable without a value, or with a bad one, is a fault. */
export interface Environment {
  /** Any text that is not empty. */
  text(name: string, fallback?: string): string;
  /** Any text, or undefined if the variable is not set or empty. */
  optionalText(name: string): string | undefined;
  /** A whole number within bounds, both included. */
  integer(name: string, bounds: { min: number; max: number; fallback?: number }): number;
  /** An absolute URL with one of these schemes, e.g. `["http:", "https:"]`. Its value is never repeated in a fault. */
  url(name: string, schemes: readonly string[], fallback?: string): string;
  /** The result of `parse`, which returns undefined for a text that breaks `rule`. The value is never repeated in a fault. */
  parsed<T>(name: string, rule: string, parse: (text: string) => T | undefined, fallback?: string): T;
  /**
   * A secret: the value of `NAME`, or the content of the file that `NAME_FILE` names, which may change while the process runs. Both
   * are a fault, and so is a file that cannot be read or is empty. No fault repeats the value.
   */
  secret(name: string): WatchedSecret;
  /** A secret as `secret`, or undefined if neither variable is set. */
  optionalSecret(name: string): WatchedSecret | undefined;
  /** A secret as `secret` that is an absolute URL with one of these schemes. */
  secretUrl(name: string, schemes: readonly string[]): WatchedSecret;
  /** The result of `parse` for a secret as `secret`; `parse` returns undefined for a text that breaks `rule`. */
  parsedSecret<T>(name: string, rule: string, parse: (text: string) => T | undefined): Watched<T>;
  /**
   * One value of several secrets, each as `secret` but optional.
   *
   * @param parse receives the text of each, undefined if it is not set; throws SecretFault for texts that cannot be used
   */
  parsedSecrets<T>(names: readonly string[], parse: (texts: readonly (string | undefined)[]) => T): Watched<T>;
  /** Files of the secrets that were read. */
  readonly secretFiles: SecretFiles;
}

export function readEnvironment<T extends object>(
  variables: Readonly<Record<string, string | undefined>>,
  read: (environment: Environment) => T,
): Readonly<T> {
  const faults: string[] = [];
  // The value of a faulty variable is never used: the error is thrown before the object is returned.
  const fault = (name: string, rule: string): never => {
    faults.push(`${name}: ${rule}`);
    return undefined as never;
  };
  const value = (name: string, fallback?: string): string | undefined => variables[name]?.trim() || fallback;
  const secretFiles = new SecretFiles();
  const openSecrets = <T>(
    names: readonly string[],
    parse: (texts: readonly (string | undefined)[]) => T,
  ): Watched<T> => {
    const sources = names.map((name) => ({ name, text: value(name), path: value(`${name}_FILE`) }));
    const twice = sources.find(({ text, path }) => text !== undefined && path !== undefined);
    if (twice !== undefined) return constant(fault(twice.name, `is set, and ${twice.name}_FILE too: set one of them`));
    const files = sources.flatMap(({ name, path }) => (path === undefined ? [] : { name, path }));
    try {
      if (files.length === 0) return constant(parse(sources.map(({ text }) => text)));
      return secretFiles.open(files, (contents) => {
        const rest = contents.values();
        return parse(sources.map(({ text, path }) => (path === undefined ? text : rest.next().value)));
      });
    } catch (error) {
      if (!(error instanceof SecretFault)) throw error;
      const read = sources.flatMap(({ name, text, path }) => (path ? `${name}_FILE` : text ? name : []));
      return constant(fault(read.join(", ") || (names[0] ?? ""), error.message));
    }
  };
  const openSecret = <T>(name: string, rule: string, parse: (text: string) => T | undefined): Watched<T> =>
    openSecrets([name], ([text]) => {
      if (text === undefined) throw new SecretFault(`is required, or ${name}_FILE`);
      const parsed = parse(text);
      if (parsed === undefined) throw new SecretFault(rule);
      return parsed;
    });
  const isSet = (name: string): boolean => [name, `${name}_FILE`].some((each) => value(each) !== undefined);

  const environment: Environment = {
    text: (name, fallback) => value(name, fallback) ?? fault(name, "is required"),
    optionalText: (name) => value(name),
    integer(name, { min, max, fallback }) {
      const text = value(name, fallback?.toString());
      if (text === undefined) return fault(name, "is required");
      const number = Number(text);
      if (/^\d+$/.test(text) && number >= min && number <= max) return number;
      return fault(name, `must be a whole number from ${min} to ${max}, not ${JSON.stringify(text.slice(0, 40))}`);
    },
    url: (name, schemes, fallback) => environment.parsed(name, ...urlRule(schemes), fallback),
    parsed(name, rule, parse, fallback) {
      const text = value(name, fallback);
      if (text === undefined) return fault(name, "is required");
      return parse(text) ?? fault(name, rule);
    },
    secret: (name) => openSecret(name, "", (text) => text),
    optionalSecret: (name) => (isSet(name) ? environment.secret(name) : undefined),
    secretUrl: (name, schemes) => openSecret(name, ...urlRule(schemes)),
    parsedSecret: openSecret,
    parsedSecrets: openSecrets,
    secretFiles,
  };

  const config = read(environment);
  if (faults.length > 0)
    throw new ConfigurationError(`configuration:\n${faults.map((line) => `  ${line}`).join("\n")}`);
  return Object.freeze(config);
}

/** Rule of a URL with one of these schemes, and the function that tests it. */
function urlRule(schemes: readonly string[]): [rule: string, parse: (text: string) => string | undefined] {
  return [
    `must be a URL that starts ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
    (text) => (schemes.includes(URL.parse(text)?.protocol ?? "") ? text : undefined),
  ];
}

/** Configuration that every server process has. */
export interface ServerConfig {
  /** Address to listen on. */
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  /** Files of the secrets of this process, to be watched while it runs. */
  readonly secretFiles: SecretFiles;
  /** Address that the operations server listens on. */
  readonly operationsHost: string;
  /** Ports of the operations server: one, or none. */
  readonly operationsPorts: readonly number[];
  /** Longest time that running work has after SIGTERM. */
  readonly drainTimeoutMs: number;
}

const PORTS = { min: 0, max: 65_535 };

/** Bounds of the time to drain, in seconds, and the default of processes that serve calls. */
export const CALL_DRAIN_SECS = { min: 0, max: 86_400, fallback: 5 };

/** @param drainSecs bounds and default of the time to drain, where running work takes longer than calls of a service */
export function readServerConfig(env: Environment, drainSecs = CALL_DRAIN_SECS): ServerConfig {
  const host = env.text("ROUTEPLANE_HOST", "127.0.0.1");
  const hasOperations = env.optionalText("ROUTEPLANE_OPERATIONS_PORT") !== undefined;
  return {
    host,
    port: env.integer("ROUTEPLANE_PORT", PORTS),
    logLevel: env.text("ROUTEPLANE_LOG_LEVEL", "info"),
    secretFiles: env.secretFiles,
    operationsHost: env.text("ROUTEPLANE_OPERATIONS_HOST", host),
    operationsPorts: hasOperations ? [env.integer("ROUTEPLANE_OPERATIONS_PORT", PORTS)] : [],
    drainTimeoutMs: env.integer("ROUTEPLANE_DRAIN_TIMEOUT_SECS", drainSecs) * 1_000,
  };
}
