import { once } from "node:events";
import { constants, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { type ConnectRouter, createContextValues, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Component } from "@routeplane/runtime";
import { peerAddressKey } from "./call-origin.ts";
import { DRAIN_TIMEOUT_MS, LIMITS } from "./limits.ts";
import { parsingSafely } from "./parse-safely.ts";
import { respondInPieces } from "./response-pieces.ts";
import { correctErrors } from "./correct-errors.ts";
import type { RequestGate } from "./request-gate.ts";

export interface RpcServerOptions {
  readonly port: number;
  readonly host: string;
  /** Interceptors and request gate, from `rpcChain`. */
  readonly interceptors: Interceptor[];
  readonly requestGate: RequestGate;
  readonly routes: (router: ConnectRouter) => void;
  /** Time without traffic after which a call is ended. `LIMITS.idleTimeoutMs` by default. */
  readonly idleTimeoutMs?: number;
}

/** Starts a server of Connect, gRPC and gRPC-web over cleartext HTTP/2 on one port. It stops by draining: no new calls, running ones finish. */
export async function startRpcServer(options: RpcServerOptions): Promise<Component & { readonly port: number }> {
  const { readMaxBytes, maxTimeoutMs, maxConcurrentStreams, maxHeaderBytes, compressMinBytes } = LIMITS;
  const { interceptors, requestGate, idleTimeoutMs = LIMITS.idleTimeoutMs } = options;
  const routes = respondInPieces(correctErrors((router) => options.routes(parsingSafely(router))));
  const server = createServer(
    { settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes } },
    connectNodeAdapter({
      routes,
      interceptors,
      requestGate,
      readMaxBytes,
      maxTimeoutMs,
      compressMinBytes,
      contextValues: ({ socket }) => createContextValues().set(peerAddressKey, socket.remoteAddress ?? ""),
    }),
  );
  server.on("stream", (stream) => {
    stream.setTimeout(idleTimeoutMs, () => stream.close(constants.NGHTTP2_CANCEL));
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A reset by the peer needs no handling, but without a listener it would end this process.
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
  const timer = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, DRAIN_TIMEOUT_MS);
  await closed;
  clearTimeout(timer);
}
