import { Code } from "@connectrpc/connect";
import type { IncomingMessage } from "node:http";
import type { PageOrigin } from "./page-origin.ts";
import { Refusal } from "./refusal.ts";

/** Header without which a call is refused: a form cannot send it, and a script of another origin would have to ask first. */
const CONSOLE_HEADER = "x-routeplane-console";
/** Values of `Sec-Fetch-Site` of requests that the page itself, or a program that is no browser, makes. */
const OWN_SITES: ReadonlySet<unknown> = new Set([undefined, "same-origin", "none"]);

/**
 * Refuses a request that may change something and that another site could have made a browser send: the cookie alone proves nothing.
 *
 * @throws Refusal 403
 */
export function refuseForged({ headers }: IncomingMessage, page: PageOrigin): void {
  const { origin } = headers;
  const isOwn =
    headers[CONSOLE_HEADER] === "1" &&
    OWN_SITES.has(headers["sec-fetch-site"]) &&
    (origin === undefined || origin === page.origin);
  if (isOwn) return;
  const message = `this request was not made by the console's own page: it needs the header ${CONSOLE_HEADER}: 1 and no other site's origin`;
  throw new Refusal(403, Code.PermissionDenied, message);
}
