import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../log.ts";
import { BUILD_VERSION } from "../version.ts";
import type { Dependencies } from "./dependencies.ts";
import { EventLoopMonitor, HUNG_MS } from "./event-loop.ts";
import { collectProcessMetrics, gauge, readMetrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

export interface OperationsOptions {
  /** Name of the process, e.g. `auth`. */
  readonly service: string;
  readonly operationsHost: string;
  /** Ports to listen on, 0 for any free one; none if empty. */
  readonly operationsPorts: readonly number[];
  readonly readiness: Readiness;
  readonly dependencies: Dependencies;
  readonly log: Logger;
}

/** Bounds of the server: probes and scrapes are few and short. */
const LIMITS = { requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000, maxHeaderSize: 16 * 1024 };
const MAX_CONNECTIONS = 64;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * Starts the operations server: plain HTTP/1.1 without credentials, on a port of its own that only the platform reaches. It
 * reveals nothing about any namespace.
 *
 * - `/livez`: 503 if one task held the event loop for more than 5 s within the last 10 s. A process that hangs does not answer.
 * - `/readyz`: 503 while a condition of `Readiness` is not met, which the body names.
 * - `/healthz`: the state of each dependency; 503 while one is away without which nothing can be done.
 * - `/metrics`: the metrics, in the text format of Prometheus.
 *
 * Start it first and stop it last, so that it answers all the time.
 */
export async function startOperationsServer(options: OperationsOptions): Promise<Component> {
  const { service, readiness, dependencies, log, operationsHost, operationsPorts } = options;
  const eventLoop = new EventLoopMonitor();
  collectProcessMetrics({ service, version: BUILD_VERSION });
  gauge({
    name: "routeplane_ready",
    help: "1 while the process is ready to take work.",
    read: () => Number(readiness.isReady),
  });
  gauge({
    name: "routeplane_dependency_up",
    help: "1 while the dependency answers.",
    labels: ["dependency"],
    async read() {
      const states = Object.entries(await dependencies.states());
      return states.map(([dependency, state]) => ({ labels: { dependency }, value: Number(state === "ok") }));
    },
  });

  let reading: Promise<Answer> | undefined;
  /** Scrapes that arrive while metrics are read share that read. */
  const metrics = (): Promise<Answer> =>
    (reading ??= readMetrics()
      .then(({ contentType: type, text: body }) => ({ status: 200, type, body }))
      .finally(() => (reading = undefined)));
  const paths: Readonly<Record<string, () => Answer | Promise<Answer>>> = {
    "/livez": () => {
      const delayMs = Math.round(eventLoop.longestDelayMs());
      return json(delayMs <= HUNG_MS, { status: delayMs <= HUNG_MS ? "ok" : "hung", event_loop_delay_ms: delayMs });
    },
    "/readyz": () => {
      const { isReady } = readiness;
      return json(isReady, { status: isReady ? "ready" : "not_ready", conditions: readiness.states() });
    },
    "/healthz": async () => {
      const { isServing, body } = await dependencies.report();
      return json(isServing, body);
    },
    "/metrics": metrics,
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const read = Object.hasOwn(paths, path) ? paths[path] : undefined;
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
        log.error({ err: error }, "cannot answer on the operations port");
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
      eventLoop.stop();
      for (const server of servers) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
    },
  };
}

function json(isOk: boolean, body: object): Answer {
  return { status: isOk ? 200 : 503, type: "application/json", body: `${JSON.stringify(body)}\n` };
}
