import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "@routeplane/runtime";

/** Bounds of the server. */
const LIMITS = {
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 32 << 10,
};
const MAX_CONNECTIONS = 2_000;
/** Maximum number of unanswered requests on one connection. Browsers do not pipeline requests. */
const MAX_PIPELINED = 16;
/** Time for which new connections are accepted while the process drains: load balancers take a while to notice the drain. */
const LISTEN_MS = 2_000;
/** Time limit of running requests when the process is stopped without a drain. */
const STOP_MS = 2_000;
const POLL_MS = 25;

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Answers a request. Never rejects. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends endless responses. */
  readonly cancelStreams: () => void;
}

export interface HttpServer extends Component {
  readonly port: number;
  /** Answers running requests, accepts new connections for a while, and closes each after its response. Never rejects. */
  drain(options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<void>;
}

/** Starts the HTTP/1.1 server of the console. The platform terminates TLS. */
export async function startHttpServer({ host, port, handle, cancelStreams }: HttpServerOptions): Promise<HttpServer> {
  const running = new Map<ServerResponse, Socket>();
  let isDraining = false;
  const server = createServer(LIMITS, (request, response) => {
    const { socket } = request;
    const pipelined = [...running.values()].filter((other) => other === socket).length;
    if (pipelined >= MAX_PIPELINED) return void socket.destroy();
    running.set(response, socket);
    response.once("close", () => running.delete(response));
    if (isDraining) response.shouldKeepAlive = false;
    void handle(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("clientError", (_error, socket) => {
    const isAnswering = [...running].some(([response, other]) => other === socket && response.headersSent);
    if (!socket.writable || isAnswering) socket.destroy();
    else socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  });
  server.listen(port, host);
  await once(server, "listening");

  const untilIdle = async (timeoutMs: number, signal?: AbortSignal): Promise<void> => {
    const until = performance.now() + timeoutMs;
    while (running.size > 0 && performance.now() < until) {
      if (signal?.aborted === true) return;
      await delay(POLL_MS);
    }
  };
  return {
    name: `http server on port ${(server.address() as AddressInfo).port}`,
    port: (server.address() as AddressInfo).port,
    async drain({ timeoutMs, signal }) {
      isDraining = true;
      for (const response of running.keys()) response.shouldKeepAlive = false;
      cancelStreams();
      const listenMs = Math.min(LISTEN_MS, timeoutMs);
      await delay(listenMs, undefined, { signal }).catch(() => {});
      cancelStreams();
      await untilIdle(timeoutMs - listenMs, signal);
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const response of running.keys()) response.shouldKeepAlive = false;
      cancelStreams();
      await untilIdle(isDraining ? 0 : STOP_MS);
      server.closeAllConnections();
      await closed;
    },
  };
}
