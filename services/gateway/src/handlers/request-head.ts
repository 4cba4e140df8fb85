import type { IncomingMessage } from "node:http";
import { Refusal } from "../domain/errors/refusal.ts";

/** A host name or address, with or without a port. */
const HOST = /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i;
/** Target in absolute form: scheme, authority, and the rest of the URL. */
const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is;

/**
 * Finds the fault in the head of a request that Node's parser lets through, although a proxy in front of this server may read
 * it differently: such a request is refused rather than interpreted. A target in absolute form is rewritten to its path, as an
 * origin server does (RFC 9112 section 3.2.2); nothing here depends on the host.
 *
 * @returns undefined if there is none
 */
export function faultOfHead(request: IncomingMessage): Refusal | undefined {
  const fault = faultOfVersionAndHost(request) ?? faultOfTarget(request) ?? faultOfFraming(request);
  return fault === undefined ? faultOfExpectation(request) : new Refusal("malformed_request", fault);
}

/** Fault of a request whose target is the authority of another server. */
export function faultOfConnect(): Refusal {
  return new Refusal(
    "malformed_request",
    "this server is no proxy: CONNECT, and a target that is an authority, are not served",
  );
}

/** @returns a sentence that names the fault; undefined if there is none */
function faultOfVersionAndHost(request: IncomingMessage): string | undefined {
  const { httpVersion } = request;
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return `HTTP/${httpVersion} is not served here: use HTTP/1.1`;
  const { host } = request.headers;
  if (isRepeated(request, "host")) return "the request has more than one Host header";
  if (host === undefined) return httpVersion === "1.1" ? "the request has no Host header" : undefined;
  return HOST.test(host) ? undefined : "the Host header is not a host";
}

/**
 * True if a request has a header more than once, of which Node's `headers` has the first one alone. Found in the names as they arrived:
 * Node's `headersDistinct` makes a list for each header, which took 8 us of a request.
 *
 * @param name in lower case
 */
export function isRepeated({ rawHeaders }: IncomingMessage, name: string): boolean {
  let found = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const header = rawHeaders[at];
    if (header?.length === name.length && header.toLowerCase() === name) found++;
  }
  return found > 1;
}

function faultOfTarget(request: IncomingMessage): string | undefined {
  const { url = "" } = request;
  if (url.startsWith("/")) return undefined;
  if (url === "*") return "the request target * is not served: name a path that begins with /";
  const [, scheme, authority = "", rest = ""] = ABSOLUTE.exec(url) ?? [];
  if (scheme === undefined) return "the request target must be a path that begins with /, or an http or https URL";
  if (!/^https?$/i.test(scheme)) return "the scheme of the request target must be http or https";
  if (authority.includes("@")) return "the request target must not have a user or a password";
  if (!HOST.test(authority)) return "the host of the request target is not a host";
  request.url = rest.startsWith("/") ? rest : `/${rest}`;
  return undefined;
}

function faultOfFraming(request: IncomingMessage): string | undefined {
  const { "transfer-encoding": codings, "content-length": length } = request.headers;
  if (codings === undefined) return undefined;
  if (request.httpVersion === "1.0") return "HTTP/1.0 has no Transfer-Encoding: send Content-Length";
  if (length !== undefined) return "the request has both Content-Length and Transfer-Encoding";
  if (isRepeated(request, "transfer-encoding") || codings.trim().toLowerCase() !== "chunked") {
    return "the only Transfer-Encoding that is served here is chunked";
  }
  return undefined;
}

/** HTTP/1.0 has no expectations: there the header is ignored. */
function faultOfExpectation({ httpVersion, headers: { expect } }: IncomingMessage): Refusal | undefined {
  if (expect === undefined || httpVersion === "1.0") return undefined;
  if (expect.split(",").every((item) => ["", "100-continue"].includes(item.trim().toLowerCase()))) return undefined;
  return new Refusal("expectation_failed", "the only expectation that is served here is 100-continue");
}

/** Returns true if the client may wait for an interim response before it sends its body. */
export function expectsContinue({ httpVersion, headers: { expect } }: IncomingMessage): boolean {
  return expect !== undefined && httpVersion === "1.1";
}
