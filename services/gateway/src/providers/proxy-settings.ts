import { AddressRanges, ConfigurationError } from "@routeplane/runtime";
import type { Proxy } from "../upstreams/proxy.ts";

export interface FoundProxy {
  readonly proxy: Proxy;
  /** Credentials of the proxy in each form in which they can appear. */
  readonly secrets: readonly string[];
}

/** Variables that name a proxy, by the scheme of the upstream. The first one that is set counts, as for curl. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  "http:": ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
  "https:": ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
};

/**
 * Finds the proxy for an upstream by the usual variables of the environment; undefined if it is reached directly.
 *
 * @throws ConfigurationError that names the variable of a proxy that cannot be used, and never repeats its value
 */
export function proxyFor(upstream: URL, variable: (name: string) => string | undefined): FoundProxy | undefined {
  const name = VARIABLES[upstream.protocol]?.find((each) => variable(each)?.trim());
  const value = name && variable(name)?.trim();
  if (!name || !value || isExempt(upstream, variable("no_proxy") ?? variable("NO_PROXY") ?? "")) return undefined;
  const url = URL.parse(value.includes("://") ? value : `http://${value}`);
  const credentials = url === null ? undefined : credentialsOf(url);
  if (url === null || credentials === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new ConfigurationError(
      `${name}: must be http://[user:password@]host[:port], or the same with https; NO_PROXY names hosts to reach without it`,
    );
  }
  const origin = new URL(url.origin);
  if (credentials === "") return { proxy: { origin, authorization: undefined }, secrets: [] };
  const basic = Buffer.from(credentials).toString("base64");
  const password = credentials.slice(credentials.indexOf(":") + 1);
  const secrets = [basic, credentials, password, url.password].filter((secret) => /^[\x21-\x7e]+$/.test(secret));
  return { proxy: { origin, authorization: `Basic ${basic}` }, secrets };
}

/** Decodes `user:password` of a URL; empty if it has none, undefined if they cannot be decoded. */
function credentialsOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return "";
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    return undefined;
  }
}

/** True if NO_PROXY names the host: by `*`, itself, a parent domain, or a range of addresses; with or without a port. */
function isExempt(upstream: URL, noProxy: string): boolean {
  const host = plainHost(upstream.hostname);
  const port = upstream.port || (upstream.protocol === "https:" ? "443" : "80");
  const entries = noProxy.toLowerCase().split(/[,\s]+/);
  return entries.some((entry) => entry !== "" && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  const [, bracketed, named, entryPort] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? [];
  if (entryPort !== undefined && entryPort !== port) return false;
  const name = bracketed ?? named ?? entry;
  if (name === "*") return true;
  if (name.includes("/")) return AddressRanges.parse([name])?.contains(host) ?? false;
  const domain = plainHost(name.replace(/^\*?\./, ""));
  return host.endsWith(`.${domain}`) || (host === domain && !name.startsWith("*"));
}

/** Host without brackets and without the dot of its root. */
function plainHost(host: string): string {
  return host.replace(/^\[(.+)\]$/, "$1").replace(/(.)\.$/, "$1");
}
