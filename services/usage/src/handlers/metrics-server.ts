import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Component, Logger } from "@routeplane/runtime";
import type { Metric } from "../domain/metrics.ts";

export interface MetricsServerOptions {
  readonly host: string;
  /** Port to listen on; 0: any free one. */
  readonly port: number;
  readonly log: Logger;
  readonly read: () => Promise<readonly Metric[]>;
}

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
const REQUEST_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 20;

/**
 * Starts the server of `GET /metrics`, over HTTP/1.1, which the RPC port does not speak. It takes no credential and reveals
 * nothing about any namespace. Requests that arrive while metrics are read share that read.
 */
export async function startMetricsServer({ host, port, log, read }: MetricsServerOptions): Promise<Component> {
  let reading: Promise<string> | undefined;
  const text = (): Promise<string> =>
    (reading ??= read()
      .then(toMetricsText)
      .finally(() => (reading = undefined)));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url !== "/metrics") return void response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return void response.writeHead(405, { allow: "GET, HEAD" }).end();
    }
    const body = await text();
    response.writeHead(200, { "content-type": METRICS_TYPE }).end(request.method === "HEAD" ? undefined : body);
  };
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      log.error({ err: error }, "cannot read metrics");
      response.writeHead(500).end();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(port, host);
  await once(server, "listening");
  const { port: listening } = server.address() as AddressInfo;
  log.info({ metricsPort: listening }, "metrics server started");
  return {
    name: `metrics server on port ${listening}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Writes metrics in the text format of Prometheus, version 0.0.4. Metrics without a value are left out. */
function toMetricsText(metrics: readonly Metric[]): string {
  return metrics
    .flatMap(({ name, help, type, value }) =>
      value === undefined ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`],
    )
    .map((line) => `${line}\n`)
    .join("");
}
