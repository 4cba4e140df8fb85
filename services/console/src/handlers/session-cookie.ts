import type { IncomingHttpHeaders } from "node:http";
import type { PageOrigin } from "./page-origin.ts";

/** Maximum length of a `Cookie` header that is parsed. Browsers limit one cookie to 4 KiB. */
const MAX_HEADER_CHARS = 16_384;

/**
 * Name of the session cookie. With the prefix `__Host-`, a browser accepts it only from this host and over TLS. On the machine itself there
 * is no TLS, and all ports share their cookies, so the port in the name separates two nodes.
 */
export function sessionCookieName({ isSecure, port }: PageOrigin): string {
  return isSecure ? "__Host-routeplane-session" : `routeplane-session-${port || "80"}`;
}

/** Value of the session cookie; undefined if there is none, or several: then another site may have set one of them. */
export function readSessionCookie({ cookie = "" }: IncomingHttpHeaders, page: PageOrigin): string | undefined {
  if (cookie.length > MAX_HEADER_CHARS) return undefined;
  const start = `${sessionCookieName(page)}=`;
  const values = cookie
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(start));
  return values.length === 1 ? values[0]?.slice(start.length) : undefined;
}

/** `Set-Cookie` header for a sealed session. @param maxAgeSecs time after which the browser drops it */
export function toSessionCookie(page: PageOrigin, value: string, maxAgeSecs: number): string {
  const attributes = ["Path=/", `Max-Age=${maxAgeSecs}`, "HttpOnly", "SameSite=Strict"];
  return [`${sessionCookieName(page)}=${value}`, ...attributes, ...(page.isSecure ? ["Secure"] : [])].join("; ");
}

/** `Set-Cookie` header that removes the session cookie. */
export function toRemovedCookie(page: PageOrigin): string {
  return toSessionCookie(page, "", 0);
}
