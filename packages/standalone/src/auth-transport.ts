import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

/** Maximum time of a call. */
const TIMEOUT_MS = 30_000;

/** Creates a transport to the auth service of a node on this machine that calls with a credential. */
export function authTransport(token: string, baseUrl: string): Transport {
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createConnectTransport({ baseUrl, httpVersion: "2", defaultTimeoutMs: TIMEOUT_MS, interceptors: [authorize] });
}
