import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ServiceConnection, type ServiceConnectionOptions } from "./service-connection.ts";

export interface ServiceTransportOptions extends ServiceConnectionOptions {
  /** Credential of this caller. Without one only public methods answer. */
  readonly serviceToken?: string;
  /** A call without an answer by then fails; the deadline travels with it. 2000 by default. */
  readonly timeoutMs?: number;
  /** To the same address, where it is shared. One of its own by default. */
  readonly connection?: ServiceConnection;
}

/** How one service calls another: Connect over HTTP/2, as a service, never without a deadline. */
export function serviceTransport(options: ServiceTransportOptions): Transport {
  const { url, serviceToken, timeoutMs = 2_000, connection = new ServiceConnection(options) } = options;
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
    sessionManager: connection,
  });
}
