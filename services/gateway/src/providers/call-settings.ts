import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type CallOptions, TIMEOUTS } from "../upstreams/openai-upstream.ts";
import type { CallSettings, ValueSource } from "./call-settings-field.ts";

/** Settings of calls as they are sent, and the secrets in them. */
export interface Call extends CallOptions {
  readonly secrets: readonly string[];
}

/** Reads a value from its source. @throws ProvidersFileError that never repeats the value */
export type ReadValue = (source: ValueSource) => string;

/**
 * @param folder folder that paths are relative to
 * @param variable returns the value of a variable of the environment
 */
export function createReadValue(folder: string, variable: (name: string) => string | undefined): ReadValue {
  return ({ from, text, pattern, rule, field }) => {
    if (from === "literal") return text;
    if (from === "env") {
      const value = variable(text)?.trim();
      if (!value) throw field.fault(`the environment variable ${text} is not set`);
      if (!pattern.test(value)) throw field.fault(`the environment variable ${text} must hold ${rule}`);
      return value;
    }
    let value: string;
    try {
      value = readFileSync(resolve(folder, text), "utf8").trim();
    } catch (error) {
      throw field.fault(`cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`);
    }
    if (!pattern.test(value)) throw field.fault(`must hold ${rule}`);
    return value;
  };
}

/** Matches names of headers and query parameters that carry credentials: their values are secrets wherever they are from. */
const CREDENTIAL_NAME = /auth|key|token|secret|password|credential|cookie|signature|^sig$/i;

export function toCall({ headers, query, timeouts }: CallSettings, read: ReadValue): Call {
  const secrets: string[] = [];
  const valuesOf = (sources: CallSettings["headers"]) =>
    [...sources].map(([name, source]) => {
      const value = read(source);
      if (source.from !== "literal" || CREDENTIAL_NAME.test(name)) secrets.push(...secretsOf(value));
      return [name, value] as const;
    });
  return {
    headers: Object.fromEntries(valuesOf(headers)),
    query: new URLSearchParams(Object.fromEntries(valuesOf(query))).toString(),
    timeouts: {
      connectMs: timeouts.connectMs ?? TIMEOUTS.connectMs,
      headMs: timeouts.headMs ?? TIMEOUTS.headMs,
      idleMs: timeouts.idleMs ?? TIMEOUTS.idleMs,
    },
    secrets,
  };
}

/** Secrets in a value: itself, and the credential behind the name of a scheme, e.g. `Bearer`. */
function secretsOf(value: string): readonly string[] {
  const credential = /^[A-Za-z-]+ +(\S.*)$/.exec(value)?.[1];
  return credential === undefined ? [value] : [value, credential];
}
