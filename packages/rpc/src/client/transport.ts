import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { currentOf, type WatchedSecret } from "@routeplane/runtime";
import { CALL_TIMEOUT_MS } from "../staleness.ts";
import { ServiceConnection, type ServiceConnectionOptions } from "./service-connection.ts";

export interface ServiceTransportOptions extends ServiceConnectionOptions {
  /** Service credential of this caller, read at each call. Without one, only public methods can be called. */
  readonly serviceToken?: string | WatchedSecret;
  /** Deadline of a call, in milliseconds; sent with it. `CALL_TIMEOUT_MS` by default. */
  readonly timeoutMs?: number;
  /** Connection to the same address, if it is shared. A new one by default. */
  readonly connection?: ServiceConnection;
}

/** Creates a transport to another service: Connect over HTTP/2, with the caller's service credential and a deadline on every call. */
export function serviceTransport(options: ServiceTransportOptions): Transport {
  const { url, serviceToken, timeoutMs = CALL_TIMEOUT_MS, connection = new ServiceConnection(options) } = options;
  const asService: Interceptor = (next) => (request) => {
    if (serviceToken !== undefined) request.header.set("authorization", `Bearer ${currentOf(serviceToken)}`);
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
