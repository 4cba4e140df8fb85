/** Origin at which a browser sees the console. */
export interface PageOrigin {
  /** Origin in the format of browsers, e.g. `https://console.example.com`. */
  readonly origin: string;
  /** True if the browser reaches it over TLS. */
  readonly isSecure: boolean;
  /** Port in the origin; empty for the default port. */
  readonly port: string;
}

const LOOPBACK = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i;

/**
 * Determines the origin of a request from its `Host` header: the public origin, or any port of the machine itself. Any other host is
 * refused: it can be a name that an attacker has pointed here, whose pages would then be of the same origin (DNS rebinding).
 *
 * @param publicOrigin address that people open; undefined if the console is reached on the machine itself only
 * @returns undefined for any other host
 */
export function pageOriginOf(host: string | undefined, publicOrigin: URL | undefined): PageOrigin | undefined {
  if (host === undefined) return undefined;
  if (publicOrigin !== undefined && host.toLowerCase() === publicOrigin.host) return toPageOrigin(publicOrigin);
  const url = LOOPBACK.test(host) ? URL.parse(`http://${host}`) : null;
  return url === null ? undefined : toPageOrigin(url);
}

/**
 * Parses the address that people open: an origin with `https:`, which may be `http:` on the machine itself.
 *
 * @returns undefined for any other text
 */
export function parsePublicOrigin(text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null || (url.pathname !== "/" && url.pathname !== "") || url.search + url.hash + url.username !== "") {
    return undefined;
  }
  const isSafe = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.test(url.host));
  return isSafe ? url : undefined;
}

function toPageOrigin({ origin, protocol, port }: URL): PageOrigin {
  return { origin, isSecure: protocol === "https:", port };
}
