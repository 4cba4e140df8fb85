import type { IncomingHttpHeaders } from "node:http";
import type { PageOrigin } from "./page-origin.ts";

/** Largest `Cookie` header that is looked at. Browsers bound one cookie to 4 KiB. */
const MAX_HEADER_CHARS = 16_384;

/**
 * Name of the session cookie. With `__Host-` a browser takes it from this very host over TLS alone. On the machine itself there is no
 * TLS, and all ports share their cookies: the port in the name keeps two nodes apart.
 */
export function sessionCookieName({ isSecure, port }: PageOrigin): string {
  return isSecure ? "__Host-routeplane-session" : `routeplane-session-${port || "80"}`;
}

/** Value of the session cookie; undefined if there is none, or more than one, of which another may have set one. */
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
