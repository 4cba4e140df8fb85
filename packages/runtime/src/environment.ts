/**
 * Configuration of a process: environment in, one frozen object out, and all faults in one error. A process reads it once, in
 * its config.ts, which is the only reader of `process.env`.
 */

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
    url: (name, schemes, fallback) =>
      environment.parsed(
        name,
        `must be a URL that starts ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
        (text) => (schemes.includes(URL.parse(text)?.protocol ?? "") ? text : undefined),
        fallback,
      ),
    parsed(name, rule, parse, fallback) {
      const text = value(name, fallback);
      if (text === undefined) return fault(name, "is required");
      return parse(text) ?? fault(name, rule);
    },
  };

  const config = read(environment);
  if (faults.length > 0)
    throw new ConfigurationError(`configuration:\n${faults.map((line) => `  ${line}`).join("\n")}`);
  return Object.freeze(config);
}

/** Configuration that every server process has. */
export interface ServerConfig {
  /** Address to listen on. */
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
}

export function readServerConfig(env: Environment): ServerConfig {
  return {
    host: env.text("ROUTEPLANE_HOST", "127.0.0.1"),
    port: env.integer("ROUTEPLANE_PORT", { min: 0, max: 65_535 }),
    logLevel: env.text("ROUTEPLANE_LOG_LEVEL", "info"),
  };
}
