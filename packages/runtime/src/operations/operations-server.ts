import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../log.ts";
import { answerSupervisor } from "../workers/supervisor-channel.ts";
import { answersOfProcess, type OperationsPaths, type ProcessState } from "./operations-answers.ts";

export interface OperationsOptions extends ProcessState {
  readonly operationsHost: string;
  /** Ports to listen on, 0 for any free one; none if empty. */
  readonly operationsPorts: readonly number[];
  readonly log: Logger;
}

/** Bounds of the server: probes and scrapes are few and short. */
const LIMITS = { requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000, maxHeaderSize: 16 * 1024 };
const MAX_CONNECTIONS = 64;

/**
 * Starts the operations server: plain HTTP/1.1 without credentials, on a port of its own that only the platform reaches. It
 * reveals nothing about any namespace.
 *
 * - `/livez`: 503 if one task blocked the event loop for more than 5 s within the last 10 s. A hung process does not answer.
 * - `/readyz`: 503 while a condition of `Readiness` is not met, which the body names.
 * - `/healthz`: the state of each dependency; 503 while a required one does not answer.
 * - `/metrics`: the metrics, in the text format of Prometheus.
 *
 * Start it first and stop it last, so that it always answers.
 */
export async function startOperationsServer(options: OperationsOptions): Promise<Component> {
  const { paths, stop } = answersOfProcess(options);
  const answering = answerSupervisor(paths);
  const server = await serveOperations(options, paths);
  return {
    name: server.name,
    async stop() {
      stop();
      answering.end();
      await server.stop();
    },
  };
}

/** Serves answers on the operations ports. */
export async function serveOperations(
  { operationsHost, operationsPorts, log }: Omit<OperationsOptions, keyof ProcessState>,
  paths: OperationsPaths,
): Promise<Component> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const read = Object.hasOwn(paths, path) ? paths[path as keyof OperationsPaths] : undefined;
    if (read === undefined) return void response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    }
    const { status, type, body } = await read();
    response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  const open = async (port: number) => {
    const server = createServer(LIMITS, (request, response) => {
      answer(request, response).catch((error: unknown) => {
        log.error({ err: error }, "operations server failed");
        response.writeHead(500).end();
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.listen(port, operationsHost);
    await once(server, "listening");
    log.info({ operationsPort: (server.address() as AddressInfo).port }, "operations server started");
    return server;
  };
  const servers = await Promise.all([...new Set(operationsPorts)].map(open));
  return {
    name: "operations server",
    async stop() {
      for (const server of servers) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
    },
  };
}
