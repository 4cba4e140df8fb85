import type { IncomingMessage } from "node:http";

/** A host name or address, with a port or without. */
const HOST = /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i;

/**
 * What is wrong with the head of a request that Node's parser lets through, although a proxy in front of this server may read it
 * differently: such a request is refused rather than interpreted. Undefined if nothing is.
 */
export function faultOfHead({ httpVersion, url = "", headersDistinct }: IncomingMessage): string | undefined {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return `HTTP/${httpVersion} is not served here: use HTTP/1.1`;
  if (!url.startsWith("/")) return "the request target must be a path that begins with /";
  const hosts = headersDistinct["host"] ?? [];
  if (hosts.length > 1) return "the request has more than one Host header";
  if (hosts.length === 0 && httpVersion === "1.1") return "the request has no Host header";
  if (hosts.some((host) => !HOST.test(host))) return "the Host header is not a host";
  const codings = headersDistinct["transfer-encoding"];
  if (codings === undefined) return undefined;
  if (httpVersion === "1.0") return "HTTP/1.0 has no Transfer-Encoding: send Content-Length";
  if (headersDistinct["content-length"] !== undefined)
    return "the request has both Content-Length and Transfer-Encoding";
  if (codings.length > 1 || codings[0]?.trim().toLowerCase() !== "chunked") {
    return "the only Transfer-Encoding that is served here is chunked";
  }
  return undefined;
}
