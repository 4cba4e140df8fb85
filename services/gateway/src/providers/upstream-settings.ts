import { resolve } from "node:path";
import { readSecretFile, SecretFault } from "@routeplane/runtime";
import type { CallOptions, HttpUpstreamOptions } from "../upstreams/http-upstream.ts";
import type { CallSettings, ValueSource } from "./call-settings-field.ts";
import type { Protocol } from "./model-facts-field.ts";
import { apiDefaultsOf } from "./provider-defaults.ts";
import type { ModelEntry, ProviderEntry } from "./providers-file.ts";
import { proxyFor } from "./proxy-settings.ts";

/** Values from outside the providers file. */
export interface Values {
  /** Reads a value from its source. @throws ProvidersFileError that never repeats the value */
  readonly read: (source: ValueSource) => string;
  /** Returns a variable of the environment; undefined if it is not set. */
  readonly variable: (name: string) => string | undefined;
}

/** @param folder folder that paths in the providers file are relative to */
export function createValues(folder: string, variable: Values["variable"], readKeyFile = readSecretFile): Values {
  const read = ({ from, text, pattern, rule, field }: ValueSource): string => {
    if (from === "literal") return text;
    if (from === "env") {
      const value = variable(text)?.trim();
      if (!value) throw field.fault(`the environment variable ${text} is not set`);
      if (!pattern.test(value)) throw field.fault(`the environment variable ${text} must hold ${rule}`);
      return value;
    }
    const path = resolve(folder, text);
    let value: string;
    try {
      value = readKeyFile(path);
    } catch (error) {
      throw error instanceof SecretFault ? field.fault(error.message.replace(`${path} `, "")) : error;
    }
    if (!pattern.test(value)) throw field.fault(`must hold ${rule}`);
    return value;
  };
  return { read, variable };
}

/** Matches a key that can be sent in a header as it is. */
export const USABLE_KEY = /^[\x21-\x7e]{1,4096}$/;
const KEY_RULE = "one key, printable and without blanks";

/** Key of a provider; undefined if it has none. */
export interface ProviderKey {
  readonly apiKey: string | undefined;
  /** Variable that should hold the key and is not set: the models of the provider are listed and cannot be called. */
  readonly missingVariable: string | undefined;
}

/** Reads a provider's key. @throws ProvidersFileError that never repeats the key */
export function readKey({ apiKeyEnv, apiKeyFile }: ProviderEntry, { read, variable }: Values): ProviderKey {
  const source = apiKeyEnv ?? apiKeyFile;
  if (source === undefined) return { apiKey: undefined, missingVariable: undefined };
  const { value: text, field } = source;
  if (source === apiKeyEnv && !variable(text)?.trim()) return { apiKey: undefined, missingVariable: text };
  const from = source === apiKeyEnv ? "env" : "file";
  return { apiKey: read({ from, text, pattern: USABLE_KEY, rule: KEY_RULE, field }), missingVariable: undefined };
}

/** Provider with its key, and the settings of the calls to its models. */
export interface DescribedUpstream extends Pick<ProviderEntry, "baseUrl" | "protocol" | "apiKeyHeader" | "calls"> {
  readonly apiKey: string | undefined;
  readonly models: readonly Pick<ModelEntry, "id" | "calls">[];
}

/** Reads the headers and the query of an upstream, and of its models that have their own, and finds its proxy. */
export function readUpstream(
  { protocol, baseUrl, apiKey, apiKeyHeader = keyHeaderOf(protocol, baseUrl), calls, models }: DescribedUpstream,
  { read, variable }: Values,
): { readonly upstream: HttpUpstreamOptions; readonly secrets: readonly string[] } {
  const own = models.filter((model) => model.calls !== calls);
  for (const { headers } of [calls, ...own.map((model) => model.calls)]) {
    const rival = apiKey === undefined ? undefined : headers.get(apiKeyHeader);
    if (rival !== undefined) throw rival.field.fault("carries the key of the provider already");
  }
  const headers = DEFAULT_HEADERS[protocol];
  const call = toCall(calls, headers, read);
  const callOf = new Map<string, Call>(own.map((model) => [model.id, toCall(model.calls, headers, read)]));
  const found = proxyFor(baseUrl, variable);
  const secrets = [call, found, ...callOf.values()].flatMap((each) => each?.secrets ?? []);
  return {
    upstream: { baseUrl, apiKey, apiKeyHeader, proxy: found?.proxy, call, callOf },
    secrets: apiKey === undefined ? secrets : [apiKey, ...secrets],
  };
}

/** Headers that every call has, unless the file sets them. */
const DEFAULT_HEADERS: Readonly<Record<Protocol, Readonly<Record<string, string>>>> = {
  openai: {},
  // Anthropic refuses calls without a version of its API; this is the only one.
  anthropic: { "anthropic-version": "2023-06-01" },
};

function keyHeaderOf(protocol: Protocol, baseUrl: URL): string {
  return protocol === "anthropic" ? "x-api-key" : apiDefaultsOf(baseUrl).apiKeyHeader;
}

/** Settings of calls as they are sent, and the secrets in them. */
interface Call extends CallOptions {
  readonly secrets: readonly string[];
}

/** Matches names of headers and query parameters that carry credentials: their values are secrets wherever they are from. */
const CREDENTIAL_NAME = /auth|key|token|secret|password|credential|cookie|signature|^sig$/i;

function toCall(
  { headers, query, timeouts }: CallSettings,
  defaultHeaders: Readonly<Record<string, string>>,
  read: Values["read"],
): Call {
  const secrets: string[] = [];
  const valuesOf = (sources: CallSettings["headers"]) =>
    [...sources].map(([name, source]) => {
      const value = read(source);
      if (source.from !== "literal" || CREDENTIAL_NAME.test(name)) secrets.push(...secretsOf(value));
      return [name, value] as const;
    });
  return {
    headers: { ...defaultHeaders, ...Object.fromEntries(valuesOf(headers)) },
    query: new URLSearchParams(Object.fromEntries(valuesOf(query))).toString(),
    timeouts,
    secrets,
  };
}

/** Secrets in a value: itself, and the credential after the name of a scheme, e.g. `Bearer`. */
function secretsOf(value: string): readonly string[] {
  const credential = /^[A-Za-z-]+ +(\S.*)$/.exec(value)?.[1];
  return credential === undefined ? [value] : [value, credential];
}
