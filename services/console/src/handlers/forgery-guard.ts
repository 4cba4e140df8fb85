import { Code } from "@connectrpc/connect";
import type { IncomingMessage } from "node:http";
import type { PageOrigin } from "./page-origin.ts";
import { Refusal } from "./refusal.ts";

/** Header that a call must have: a form cannot send it, and a script of another origin would need a CORS preflight. */
const CONSOLE_HEADER = "x-routeplane-console";
/** Values of `Sec-Fetch-Site` in requests of the page itself, or of a program that is not a browser. */
const OWN_SITES: ReadonlySet<unknown> = new Set([undefined, "same-origin", "none"]);

/**
 * Refuses a request that may change state and that another site could have made a browser send: the cookie alone is no proof.
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
