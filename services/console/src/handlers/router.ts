import type { IncomingMessage, ServerResponse } from "node:http";
import { Code } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { toConnectAnswer, toConnectError } from "@routeplane/rpc";
import { counter, histogram, type Logger, type TrustedProxies, withRequestId } from "@routeplane/runtime";
import { Exchange } from "./exchange.ts";
import { refuseForged } from "./forgery-guard.ts";
import { type PageOrigin, pageOriginOf } from "./page-origin.ts";
import { Refusal, toRefusalError } from "./refusal.ts";
import { RELAY_PREFIX } from "./relay-route.ts";
import { securityHeaders } from "./security-headers.ts";

const requests = counter({
  name: "routeplane_console_requests_total",
  help: "Requests that ended, by route (app, api, session, health, none) and the status of their answer.",
  labels: ["route", "status"],
});
const seconds = histogram({
  name: "routeplane_console_request_seconds",
  help: "Time from the head of a request to the end of its answer, by route.",
  labels: ["route"],
});

type Handler = (exchange: Exchange) => Promise<void> | void;

export interface RouterOptions {
  /** Address that people open; undefined if the console is reached on the machine itself only. */
  readonly publicOrigin: URL | undefined;
  readonly trustedProxies: TrustedProxies;
  readonly routes: {
    readonly health: Handler;
    readonly session: Handler;
    readonly namespace: Handler;
    readonly relay: Handler;
    readonly app: Handler;
  };
  readonly log: Logger;
}

type RouteLabel = "app" | "api" | "session" | "health" | "none";

const MAX_LOGGED_PATH = 200;
const READS = new Set(["GET", "HEAD"]);

/** Creates the function that answers every request: host, headers, protection against forgery, then the route. It never rejects. */
export function createRouter({ publicOrigin, trustedProxies, routes, log }: RouterOptions) {
  const routeOf = (path: string): readonly [RouteLabel, Handler] => {
    if (path === "/healthz") return ["health", routes.health];
    if (path === "/session") return ["session", routes.session];
    if (path === "/session/namespace") return ["session", routes.namespace];
    return path.startsWith(RELAY_PREFIX) ? ["api", routes.relay] : ["app", routes.app];
  };

  const answer = async (exchange: Exchange, isKnownHost: boolean): Promise<RouteLabel> => {
    const { method, path, request, page } = exchange;
    let label: RouteLabel = "none";
    try {
      if (!isKnownHost) throw unknownHost();
      const [name, handle] = routeOf(path);
      label = name;
      if (!READS.has(method)) refuseForged(request, page);
      await withRequestId(exchange.requestId, async () => handle(exchange));
    } catch (error) {
      sendError(exchange, error, log);
    }
    return label;
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const startedAt = performance.now();
    const known = pageOriginOf(request.headers.host, publicOrigin);
    const clientAddress = trustedProxies.clientAddressOf(request);
    const exchange = new Exchange(request, response, { page: known ?? NO_PAGE, clientAddress });
    const { requestId, method, page } = exchange;
    response.setHeader("x-request-id", requestId);
    for (const [name, value] of Object.entries(securityHeaders(page.isSecure))) response.setHeader(name, value);
    const route = await answer(exchange, known !== undefined);
    const ms = Math.round(performance.now() - startedAt);
    const { statusCode: status } = response;
    requests.inc({ route, status: String(status) });
    seconds.observe({ route }, ms / 1_000);
    const fields = { requestId, method, path: exchange.path.slice(0, MAX_LOGGED_PATH), status, ms };
    if (route === "health" || (route === "app" && status < 400)) log.debug(fields, "request");
    else log.info(fields, "request");
  };
}

/** Origin of a request whose host is not served. */
const NO_PAGE: PageOrigin = { origin: "", isSecure: false, port: "" };

function unknownHost(): Refusal {
  const message =
    "this host is not served: open the console at its own address (ROUTEPLANE_CONSOLE_URL), or on the machine itself";
  return new Refusal(421, Code.FailedPrecondition, message, { connection: "close" });
}

/** Sends an error that a route threw, in the format of the services. */
function sendError(exchange: Exchange, error: unknown, log: Logger): void {
  const { requestId, response, path } = exchange;
  const isExpected = error instanceof Refusal || error instanceof DomainError;
  if (!isExpected && !exchange.signal.aborted) log.error({ err: error, requestId, path }, "request failed");
  if (response.headersSent || exchange.signal.aborted) return exchange.cancel();
  const options = { requestType: undefined, requestId };
  const { status, type, body } =
    error instanceof Refusal
      ? toConnectAnswer(toRefusalError(error), { ...options, status: error.status })
      : toConnectAnswer(toConnectError(error), options);
  const headers = error instanceof Refusal ? error.headers : {};
  exchange.send(status, { "content-type": type, "cache-control": "no-store", ...headers }, body);
}
