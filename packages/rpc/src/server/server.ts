import { once } from "node:events";
import {
  constants,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type ConnectRouter, createContextValues, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Component } from "@routeplane/runtime";
import { boundDeadlines } from "./bound-deadlines.ts";
import { peerAddressKey } from "./call-origin.ts";
import { DRAIN_TIMEOUT_MS, type DrainOptions, LIMITS } from "./limits.ts";
import { parsingSafely } from "./parse-safely.ts";
import { respondInPieces } from "./response-pieces.ts";
import { correctErrors } from "./correct-errors.ts";
import { addReflection } from "./reflection.ts";
import type { RequestGate } from "./request-gate.ts";
import { type ServiceTls, serverTlsOptions } from "../tls.ts";

export interface RpcServerOptions {
  readonly port: number;
  readonly host: string;
  /** Interceptors and request gate, from `rpcChain`. */
  readonly interceptors: Interceptor[];
  readonly requestGate: RequestGate;
  readonly routes: (router: ConnectRouter) => void;
  /** Time without traffic after which a call is ended. `LIMITS.idleTimeoutMs` by default. */
  readonly idleTimeoutMs?: number;
  /** Age from which a session takes no new calls; up to a fifth more or less. `LIMITS.maxSessionAgeMs` by default. */
  readonly maxSessionAgeMs?: number;
  /** Time after that age in which a client can end its session itself. `LIMITS.maxTimeoutMs` by default. */
  readonly sessionGraceMs?: number;
  /** Certificates of the server. Without one it speaks clear text. */
  readonly tls?: ServiceTls | undefined;
}

/** Server of calls. It stops by draining: no new calls, and running ones have 5 s. */
export interface RpcServer extends Component {
  readonly port: number;
  /** Stops with another time limit for running calls. Never rejects. */
  drain(options: DrainOptions): Promise<void>;
}

/** Starts a server of Connect, gRPC and gRPC-web over HTTP/2 on one port. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { readMaxBytes, maxConcurrentStreams, maxHeaderBytes, compressMinBytes } = LIMITS;
  const { interceptors, requestGate, idleTimeoutMs = LIMITS.idleTimeoutMs } = options;
  const { maxSessionAgeMs = LIMITS.maxSessionAgeMs, sessionGraceMs = LIMITS.maxTimeoutMs } = options;
  const routes = boundDeadlines(
    respondInPieces(
      correctErrors((router) => {
        const safe = parsingSafely(router);
        options.routes(safe);
        addReflection(safe);
      }),
    ),
  );
  const adapter = connectNodeAdapter({
    routes,
    interceptors,
    requestGate,
    readMaxBytes,
    compressMinBytes,
    contextValues({ socket }) {
      // Read now: it is gone with the connection.
      const address = socket.remoteAddress ?? "";
      return createContextValues().set(peerAddressKey, () => address);
    },
  });
  const settings = { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes };
  const certified = serverTlsOptions(options.tls);
  const server = certified
    ? createSecureServer({ settings, ...certified }, adapter)
    : createServer({ settings }, adapter);
  const unsubscribe = options.tls?.certificates.onChange((changed) => {
    if ("setSecureContext" in server) server.setSecureContext(changed);
  });
  // Until there is a session, an error of the socket without a listener would end this process.
  server.on("secureConnection", (socket: Socket) => socket.on("error", () => {}));
  server.on("stream", (stream) => {
    stream.setTimeout(idleTimeoutMs, () => stream.close(constants.NGHTTP2_CANCEL));
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    const end = (): void => {
      announceEnd(session);
      // A client that ignores the announcement, or is gone without a word, would keep the session for ever.
      timer = setTimeout(() => session.close(), sessionGraceMs).unref();
    };
    let timer = setTimeout(end, maxSessionAgeMs * (0.8 + Math.random() * 0.4)).unref();
    session.on("close", () => {
      clearTimeout(timer);
      sessions.delete(session);
    });
    // A reset by the peer needs no handling, but without a listener it would end this process.
    session.on("error", () => session.destroy());
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  let draining: Promise<void> | undefined;
  const drain = (drainOptions: DrainOptions): Promise<void> =>
    (draining ??= drainSessions(server, sessions, drainOptions).finally(unsubscribe));
  return { name: `rpc server on port ${port}`, port, drain, stop: () => drain({ timeoutMs: DRAIN_TIMEOUT_MS }) };
}

/** Stream id of a GOAWAY that refuses no stream: calls that are on their way are served. */
const MAX_STREAM_ID = 2 ** 31 - 1;
/** Time for clients to notice the end of their session before further calls on it are refused. */
const NOTICE_MS = 250;

/** Asks the client to make further calls on a new session, which DNS or a load balancer may lead to another process. */
function announceEnd(session: ServerHttp2Session): void {
  if (!session.closed && !session.destroyed) session.goaway(constants.NGHTTP2_NO_ERROR, MAX_STREAM_ID);
}

async function drainSessions(
  server: Http2Server | Http2SecureServer,
  sessions: ReadonlySet<ServerHttp2Session>,
  { timeoutMs, signal }: DrainOptions,
): Promise<void> {
  const allClosed = Promise.all(
    [...sessions].map((session) => new Promise<void>((resolve) => session.once("close", resolve))),
  );
  for (const session of sessions) announceEnd(session);
  const notice = new AbortController();
  await Promise.race([allClosed, delay(NOTICE_MS, undefined, { signal: notice.signal }).catch(() => {})]);
  notice.abort();
  const closed = once(server, "close");
  server.close();
  for (const session of sessions) session.close();
  const endAll = (): void => {
    for (const session of sessions) session.destroy();
  };
  const timer = setTimeout(endAll, timeoutMs);
  signal?.addEventListener("abort", endAll, { once: true });
  if (signal?.aborted === true) endAll();
  await closed;
  clearTimeout(timer);
  signal?.removeEventListener("abort", endAll);
}
