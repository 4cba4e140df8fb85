import { buildConnector, Pool } from "undici";
import { skippingInterimAnswers } from "./interim-answers.ts";
import { type Proxy, proxyHeaders, tunnelThrough } from "./proxy.ts";

/** Pool of connections to an upstream, and what requests over them need in addition. */
export interface Connections {
  readonly pool: Pool;
  /** True if a proxy forwards each request, which then names the upstream in full. */
  readonly isForwarded: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** Bound of the head of an answer: more than the 64 KiB that some proxies add up to, and four times the default. */
const MAX_HEADER_BYTES = 128 * 1024;

/**
 * Opens a pool. Connections are kept alive, and speak HTTP/1.1 only: one that carries a cancelled request is destroyed, which must
 * not end other requests. A proxy forwards plain HTTP, and opens a tunnel for TLS.
 *
 * @param connectMs time limit of a connection, also of a tunnel
 */
export function openConnections(baseUrl: URL, proxy: Proxy | undefined, connectMs: number): Connections {
  const isForwarded = proxy !== undefined && baseUrl.protocol === "http:";
  const connect =
    proxy === undefined || isForwarded
      ? buildConnector({ timeout: connectMs, allowH2: false })
      : tunnelThrough(proxy, connectMs);
  const options: Pool.Options = {
    connect: skippingInterimAnswers(connect),
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: 30_000,
    allowH2: false,
  };
  const pool = new Pool(isForwarded ? proxy.origin : baseUrl.origin, options);
  const headers = isForwarded ? { host: baseUrl.host, ...proxyHeaders(proxy) } : {};
  return { pool, isForwarded, headers };
}
