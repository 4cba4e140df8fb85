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
  // Checked in `faultOfHead`, which answers in words.
  requireHostHeader: false,
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
  /** Answers that have not ended, also those that wait for their turn on a connection. */
  const answering = new WeakMap<Socket, Set<ServerResponse>>();
  let stopping = false;
  /** Connections whose request was not understood: whatever else they send is part of it, and is ignored. */
  const refused = new WeakSet<Socket>();
  const server = createServer(LIMITS, (request, response) => {
    if (refused.has(request.socket)) return;
    const answers = answering.get(request.socket) ?? new Set();
    answering.set(request.socket, answers.add(response));
    running.add(response);
    response.on("close", () => {
      running.delete(response);
      answers.delete(response);
    });
    if (stopping) response.shouldKeepAlive = false;
    const fault = faultOfHead(request);
    if (fault !== undefined) {
      refused.add(request.socket);
      refuse(response, fault);
      return;
    }
    void options.handle(request, response);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // It has its answer, and is closed behind that.
    if (refused.has(socket as Socket)) return;
    const answers = [...(answering.get(socket as Socket) ?? [])];
    // Half an answer cannot be taken back; a second one in the middle of it would be garbage.
    if (!socket.writable || answers.some((answer) => answer.headersSent && !answer.writableFinished)) socket.destroy();
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

/** Answers in its turn, behind the requests before it on the connection, and closes that. */
function refuse(response: ServerResponse, message: string): void {
  const { headers, body } = errorAnswer("malformed_request", message);
  response.writeHead(400, headers);
  response.end(body);
}

/** What cannot be read as HTTP never reaches a route, so its answer is written here. */
function malformedAnswer(code: string | undefined): string {
  const [status, name, message] = malformed(code);
  const { headers, body } = errorAnswer(name, message);
  const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}`);
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, "", body].join("\r\n");
}

function errorAnswer(code: string, message: string) {
  const body = JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } });
  const headers: Record<string, string> = {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    "x-request-id": newId("req"),
    "x-should-retry": "false",
    connection: "close",
  };
  return { headers, body };
}

function malformed(code: string | undefined): [number, string, string] {
  if (code === "HPE_HEADER_OVERFLOW") {
    return [431, "headers_too_large", `the request headers are larger than ${LIMITS.maxHeaderSize} bytes`];
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return [408, "request_timeout", "the request did not arrive in time"];
  return [400, "malformed_request", "the request is not valid HTTP/1.1"];
}

/** A host name or address, with or without a port. */
const HOST = /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i;

/**
 * Finds the fault in the head of a request that Node's parser lets through, although a proxy in front of this server may read
 * it differently: such a request is refused rather than interpreted.
 *
 * @returns a sentence that names the fault; undefined if there is none
 */
function faultOfHead({ httpVersion, url = "", headersDistinct }: IncomingMessage): string | undefined {
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return `HTTP/${httpVersion} is not served here: use HTTP/1.1`;
  if (!url.startsWith("/")) return "the request target must be a path that begins with /";
  const hosts = headersDistinct["host"] ?? [];
  if (hosts.length > 1) return "the request has more than one Host header";
  if (hosts.length === 0 && httpVersion === "1.1") return "the request has no Host header";
  if (hosts.some((host) => !HOST.test(host))) return "the Host header is not a host";
  const codings = headersDistinct["transfer-encoding"];
  if (codings === undefined) return undefined;
  if (httpVersion === "1.0") return "HTTP/1.0 has no Transfer-Encoding: send Content-Length";
  if (headersDistinct["content-length"] !== undefined)
    return "the request has both Content-Length and Transfer-Encoding";
  if (codings.length > 1 || codings[0]?.trim().toLowerCase() !== "chunked") {
    return "the only Transfer-Encoding that is served here is chunked";
  }
  return undefined;
}
