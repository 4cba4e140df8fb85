import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";

/** Node leaves most of these unbounded or very long. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  /** To receive a whole request, body included. */
  requestTimeout: 60_000,
  /** Longer than the idle time-outs of common load balancers, so that it is they who close. */
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 5_000,
} as const;

/** How long running requests may go on once the gateway stops; after that they are cut, and have a moment to say so. */
const DRAIN_TIMEOUT_MS = 3_000;
const CUT_TIMEOUT_MS = 500;

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends every request that still runs. */
  readonly cutAll: () => void;
}

/** Plain HTTP/1.1. On stop: no new connections, running requests finish within 3 s or are cut. */
export async function startHttpServer(options: HttpServerOptions): Promise<Component & { readonly port: number }> {
  const running = new Set<ServerResponse>();
  const answering = new WeakMap<Socket, ServerResponse>();
  let stopping = false;
  const server = createServer(LIMITS, (request, response) => {
    running.add(response);
    answering.set(request.socket, response);
    response.on("close", () => running.delete(response));
    if (stopping) response.shouldKeepAlive = false;
    void options.handle(request, response);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const current = answering.get(socket as Socket);
    // Half an answer cannot be taken back; a second one in the middle of it would be garbage.
    if (!socket.writable || (current?.headersSent === true && !current.writableFinished)) socket.destroy();
    else socket.end(malformedAnswer(error.code));
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    name: `http server on port ${port}`,
    port,
    async stop() {
      stopping = true;
      await drain(server, running, options.cutAll);
    },
  };
}

async function drain(server: Server, running: ReadonlySet<ServerResponse>, cutAll: () => void): Promise<void> {
  const closed = once(server, "close");
  server.close();
  for (const response of running) response.shouldKeepAlive = false;
  await untilEmpty(server, running, DRAIN_TIMEOUT_MS);
  if (running.size > 0) cutAll();
  await untilEmpty(server, running, CUT_TIMEOUT_MS);
  server.closeAllConnections();
  await closed;
}

async function untilEmpty(server: Server, running: ReadonlySet<ServerResponse>, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (running.size > 0 && performance.now() < until) await delay(20);
  server.closeIdleConnections();
}

/** What cannot be read as HTTP never reaches a route, so its answer is written here. */
function malformedAnswer(code: string | undefined): string {
  const [status, name, message] = malformed(code);
  const error = { message, type: "invalid_request_error", param: null, code: name };
  const body = JSON.stringify({ error });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${newId("req")}`,
    "x-should-retry: false",
    "connection: close",
    "",
    body,
  ].join("\r\n");
}

function malformed(code: string | undefined): [number, string, string] {
  if (code === "HPE_HEADER_OVERFLOW") {
    return [431, "headers_too_large", `the request headers are larger than ${LIMITS.maxHeaderSize} bytes`];
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return [408, "request_timeout", "the request did not arrive in time"];
  return [400, "malformed_request", "the request is not valid HTTP/1.1"];
}
