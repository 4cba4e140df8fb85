import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

export interface ServiceTransportOptions {
  /** Where the service listens, e.g. `http://127.0.0.1:7001`. */
  readonly url: string;
  /** Credential of this caller. Without one only public methods answer. */
  readonly serviceToken?: string;
  /** A call without an answer by then fails; the deadline travels with it. 2000 by default. */
  readonly timeoutMs?: number;
}

/** How one service calls another: Connect over HTTP/2, as a service, never without a deadline. */
export function serviceTransport({ url, serviceToken, timeoutMs = 2_000 }: ServiceTransportOptions): Transport {
  const asService: Interceptor = (next) => (request) => {
    if (serviceToken !== undefined) request.header.set("authorization", `Bearer ${serviceToken}`);
    return next(request);
  };
  return createConnectTransport({
    baseUrl: url,
    httpVersion: "2",
    useBinaryFormat: true,
    defaultTimeoutMs: timeoutMs,
    interceptors: [asService],
    readMaxBytes: 4 << 20,
    // A peer that vanished without a word is noticed between two calls, not by the second one's time-out.
    pingIntervalMs: 10_000,
    pingTimeoutMs: 2_000,
  });
}
