import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Component } from "@routeplane/runtime";
import { DRAIN_TIMEOUT_MS, LIMITS } from "./limits.ts";
import { quoteSafely } from "./quote-safely.ts";

export interface RpcServerOptions {
  readonly port: number;
  readonly host: string;
  readonly interceptors: Interceptor[];
  readonly routes: (router: ConnectRouter) => void;
}

/** A field that is not in the schema is a caller's mistake, and is named. */
const STRICT_JSON = { ignoreUnknownFields: false };

/** Serves Connect, gRPC and gRPC-web over cleartext HTTP/2 on one port. On stop it drains: no new calls, old ones finish. */
export async function startRpcServer(options: RpcServerOptions): Promise<Component & { readonly port: number }> {
  const { readMaxBytes, maxTimeoutMs, maxConcurrentStreams, maxHeaderBytes } = LIMITS;
  const { interceptors } = options;
  const routes = quoteSafely(options.routes);
  const server = createServer(
    { settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes } },
    connectNodeAdapter({ routes, interceptors, readMaxBytes, maxTimeoutMs, jsonOptions: STRICT_JSON }),
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A peer that goes away is its own business; without a listener its reset would end this process.
    session.on("error", () => session.destroy());
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { name: `rpc server on port ${port}`, port, stop: () => drain(server, sessions) };
}

async function drain(server: Http2Server, sessions: ReadonlySet<ServerHttp2Session>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  for (const session of sessions) session.close();
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, DRAIN_TIMEOUT_MS);
  await closed;
  clearTimeout(cut);
}
