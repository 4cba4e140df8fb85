import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { newId } from "@routeplane/domain";
import type { Component } from "@routeplane/runtime";
import { OPENAI_ERRORS } from "../domain/errors/error-envelope.ts";
import { Refusal } from "../domain/errors/refusal.ts";
import { type ErrorAnswer, toErrorAnswer } from "./error-answer.ts";
import { Connections, type DrainOptions } from "./http-connections.ts";
import { watchHalfClosed } from "./half-closed.ts";
import { faultOfConnect, faultOfHead } from "./request-head.ts";

/** Bounds of Node's HTTP server, most of which are unbounded or very long by default. */
const LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  /** Longest time to receive a whole request, body included: 50 MiB at 1.5 Mbit/s. One that pauses ends sooner. */
  requestTimeout: 300_000,
  /** Longer than the idle time-outs of common load balancers, so that they close connections and not the gateway. */
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 5_000,
  // Checked by `faultOfHead`, so that the answer has an error envelope.
  requireHostHeader: false,
} as const;

/** Further bounds and switches, which the server has as properties only. */
const PROPERTIES = {
  /** Only the size of all headers is bounded: beyond a count Node drops headers, which could be a second credential. */
  maxHeadersCount: 0,
  /** A client that ends its side of the connection after its request still gets the answer. */
  httpAllowHalfOpen: true,
};

/** Requests on one connection that have no answer yet: a client may send the next ones before (pipelining). */
const MAX_PIPELINED = 16;
/** Default of `maxConnections`: with as many to upstreams it stays below the 20,000 files that a process has in most containers. */
export const MAX_CONNECTIONS = 10_000;

/** Time after an answer to a malformed request in which its client can close the connection by itself. */
const CLOSE_TIMEOUT_MS = 2_000;
/** Time for which requests that still run may go on once the server stops; then they are cancelled. */
const DRAIN_TIMEOUT_MS = 3_000;
/** Time in which cancelled requests can still send their error. */
const CANCEL_TIMEOUT_MS = 500;

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Bound of the number of connections, see `Connections`. 10,000 by default. */
  readonly maxConnections?: number;
  /** Bounds of the time in which a request has to arrive; `LIMITS` by default. */
  readonly timeouts?: Partial<Record<"headersTimeout" | "requestTimeout" | "connectionsCheckingInterval", number>>;
  /** True if other processes listen on the port too, and the kernel spreads connections over them. */
  readonly sharesPort?: boolean;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends every request that still runs. */
  readonly cancelAll: () => void;
  /** Ends those that would never end by themselves. */
  readonly cancelEndless: () => void;
}

export interface HttpServer extends Component {
  readonly port: number;
  /** Drains the server without the loss of a request, see `Connections`. Resolves when no connection is left, or the time is over. */
  drain(options: DrainOptions): Promise<void>;
}

/**
 * Starts a server of plain HTTP/1.1. On stop it takes no new connections; running requests finish within 3 s or are cancelled.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const connections = new Connections(options.maxConnections ?? MAX_CONNECTIONS);
  const running = new Set<ServerResponse>();
  /** Answers that have not ended, by connection, including those that wait for their turn on it. */
  const answering = new WeakMap<Socket, Set<ServerResponse>>();
  const answersOn = (socket: Socket): Set<ServerResponse> => {
    const known = answering.get(socket);
    if (known !== undefined) return known;
    const answers = new Set<ServerResponse>();
    answering.set(socket, answers);
    return answers;
  };
  let stopping = false;
  /** Connections with a malformed request. Further bytes on them may be part of it, so they are ignored. */
  const refused = new WeakSet<Socket>();
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (refused.has(request.socket)) return;
    const answers = answersOn(request.socket);
    answers.add(response);
    running.add(response);
    connections.markBusy(request.socket);
    response.on("close", () => {
      running.delete(response);
      answers.delete(response);
      if (answers.size === 0) connections.markIdle(request.socket);
    });
    if (stopping) response.shouldKeepAlive = false;
    const fault = answers.size > MAX_PIPELINED ? tooManyPipelined() : faultOfHead(request);
    if (fault !== undefined) {
      refused.add(request.socket);
      refuse(response, fault);
      return;
    }
    void options.handle(request, response);
  };
  const refuseOn = (socket: Socket, refusal: Refusal): void => {
    const hasBegun = [...answersOn(socket)].some((answer) => answer.headersSent && !answer.writableFinished);
    // An error in the middle of an answer that has begun would be garbage.
    if (!socket.writable || hasBegun) socket.destroy();
    else closeWith(socket, refusal);
  };
  const server = Object.assign(createServer({ ...LIMITS, ...options.timeouts }, onRequest), PROPERTIES);
  // Without listeners Node answers these by itself, and before the caller is known.
  server.on("checkContinue", onRequest).on("checkExpectation", onRequest);
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => refuseOn(socket as Socket, faultOfConnect()));
  server.on("connection", (socket) => {
    if (!connections.add(socket)) {
      refused.add(socket);
      socket.write(closingAnswer(tooManyConnections()));
      socket.destroySoon();
      return;
    }
    socket.on("end", () => watchHalfClosed(socket, answersOn(socket)));
    socket.on("close", () => endAll(answersOn(socket)));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // Already answered, and closed after the answer.
    if (!refused.has(socket as Socket)) refuseOn(socket as Socket, malformed(error.code));
  });
  server.listen({ port: options.port, host: options.host, reusePort: options.sharesPort ?? false });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    name: `http server on port ${port}`,
    port,
    async drain(drainOptions) {
      stopping = true;
      for (const response of running) response.shouldKeepAlive = false;
      options.cancelEndless();
      await connections.drain(server, drainOptions);
    },
    async stop() {
      // After a drain, running requests have had their time.
      const drainMs = stopping ? 0 : DRAIN_TIMEOUT_MS;
      stopping = true;
      await finish(server, running, { drainMs, cancelAll: options.cancelAll });
    },
  };
}

interface FinishOptions extends Pick<HttpServerOptions, "cancelAll"> {
  /** Time until running requests are cancelled. */
  readonly drainMs: number;
}

async function finish(
  server: Server,
  running: ReadonlySet<ServerResponse>,
  { drainMs, cancelAll }: FinishOptions,
): Promise<void> {
  const closed = once(server, "close");
  server.close();
  for (const response of running) response.shouldKeepAlive = false;
  await untilEmpty(server, running, drainMs);
  if (running.size > 0) cancelAll();
  await untilEmpty(server, running, CANCEL_TIMEOUT_MS);
  server.closeAllConnections();
  await closed;
}

async function untilEmpty(server: Server, running: ReadonlySet<ServerResponse>, timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (running.size > 0 && performance.now() < until) await delay(20);
  server.closeIdleConnections();
}

/** Answers in turn, after the requests before it on the connection, and closes the connection. */
function refuse(response: ServerResponse, refusal: Refusal): void {
  const { status, headers, body } = toClosingAnswer(refusal);
  response.writeHead(status, headers);
  response.end(body);
}

/** Ends the answers on a connection that has closed. Node does so too, but not for those that waited for their turn when CONNECT came. */
function endAll(answers: ReadonlySet<ServerResponse>): void {
  for (const answer of answers) {
    answer.destroy();
    answer.emit("close");
  }
}

/** Answers, and closes the connection once the client has closed it too, or after a while. Whatever the client still sends is dropped. */
function closeWith(socket: Duplex, refusal: Refusal): void {
  // Node listens no longer to a connection on which it has found CONNECT: without this, a reset would end the process.
  socket.on("error", () => socket.destroy());
  socket.end(closingAnswer(refusal));
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
  socket.once("close", () => clearTimeout(timer));
}

/** Bytes of the answer to a request for which no route and no `ServerResponse` exist. */
function closingAnswer(refusal: Refusal): string {
  const { status, headers, body } = toClosingAnswer(refusal);
  const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}`);
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, "", body].join("\r\n");
}

/** Error answer after which the connection is closed. It quotes nothing of the request, so there is nothing to redact. */
function toClosingAnswer(refusal: Refusal): ErrorAnswer {
  const { status, headers, body } = toErrorAnswer(refusal, OPENAI_ERRORS, (text) => text);
  const length = String(Buffer.byteLength(body));
  const closing = { "content-length": length, "x-request-id": newId("req"), connection: "close" };
  return { status, headers: { ...headers, ...closing }, body };
}

function tooManyConnections(): Refusal {
  const message = "all connections of the gateway are in use; try again";
  return new Refusal("overloaded", message, { retryAfter: "1" });
}

function tooManyPipelined(): Refusal {
  const message = `more than ${MAX_PIPELINED} requests on the connection have no answer yet; wait for answers, or use another connection`;
  return new Refusal("overloaded", message, { retryAfter: "1" });
}

/** @param code error code of Node's HTTP parser */
function malformed(code: string | undefined): Refusal {
  if (code === "HPE_HEADER_OVERFLOW") {
    return new Refusal("headers_too_large", `the request headers are larger than ${LIMITS.maxHeaderSize} bytes`);
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new Refusal("request_timeout", "the request did not arrive in time");
  return new Refusal("malformed_request", "the request is not valid HTTP/1.1");
}
