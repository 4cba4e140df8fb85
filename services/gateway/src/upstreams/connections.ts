import { buildConnector, type Dispatcher, Pool } from "undici";
import { skippingInterimAnswers } from "./interim-answers.ts";
import { type Proxy, proxyHeaders, tunnelThrough } from "./proxy.ts";

/** Pool of connections to an upstream, and what a request over them must say besides. */
export interface Connections {
  readonly pool: Pool;
  /** The pool, for requests whose `opaque` is a function: it is called when the request is about to be written. */
  readonly dispatcher: Dispatcher;
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
  return { pool, dispatcher: pool.compose(callWhenSent), isForwarded, headers };
}

/**
 * Interceptor that calls the function in `opaque` of a request when it is about to be written to an open connection. Composed once
 * for a pool: at each request it would cost 1 %.
 */
const callWhenSent: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const onSent = "opaque" in options ? options.opaque : undefined;
  if (typeof onSent !== "function") return dispatch(options, handler);
  const start = handler.onRequestStart?.bind(handler);
  handler.onRequestStart = (controller, context) => {
    start?.(controller, context);
    // A request that was cancelled while it waited for its connection is not written.
    if (!controller.aborted) onSent();
  };
  return dispatch(options, handler);
};
