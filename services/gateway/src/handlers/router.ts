import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "@routeplane/domain";
import { type Logger, logLine, withRequestId } from "@routeplane/runtime";
import { ANTHROPIC_ERRORS, type ErrorFormat, OPENAI_ERRORS } from "../domain/errors/error-envelope.ts";
import { methodNotAllowed, notFound, refusalOf, toErrorAnswer } from "./error-answer.ts";
import type { BodyBudget } from "./body-budget.ts";
import { LoadGate } from "../domain/load/load-gate.ts";
import { errorsOfClient } from "./client-api.ts";
import { createCors } from "./cors.ts";
import { type Exchange, openExchange } from "./exchange.ts";
import { countRefusal, countRequest } from "./request-metrics.ts";

/** Characters of a path in the log. */
const MAX_LOGGED_PATH = 200;

/** Method and path that the gateway serves. */
export interface Route {
  readonly method: "GET" | "POST";
  /** Whole path; a prefix, with something after it, if it ends with `/*`. */
  readonly path: string;
  /**
   * Party that answers: an `upstream`, through the pipeline; a `service` of the node, which authenticates by itself; or the
   * `gateway`.
   */
  readonly reaches: "upstream" | "service" | "gateway";
  /** Rendering of its errors, or the choice of it by a request; that of OpenAI by default. Without a route the client's API decides. */
  readonly errors?: ErrorFormat | ((request: IncomingMessage) => ErrorFormat);
  /** True if it is called by machines at intervals: its requests are logged at debug. False by default. */
  readonly isProbe?: boolean;
  /** Answers a request. @param rest the path after the prefix; empty for a whole path */
  readonly handle: (exchange: Exchange, rest: string) => Promise<void>;
}

export interface RouterOptions {
  readonly routes: readonly Route[];
  /** Answers a path under `/routeplane.` that has no route, in the envelope of those routes. */
  readonly unknownMethod: (exchange: Exchange) => Promise<void>;
  /** Memory budget of the bodies of all requests. */
  readonly bodies: BodyBudget;
  /** Gate of inference requests. One with the default bounds if absent. */
  readonly loadGate?: LoadGate;
  /** Origins whose pages may call the gateway from a browser; none by default. */
  readonly corsOrigins?: readonly string[];
  /** See `ExchangeOptions`. */
  readonly stallTimeoutMs?: number;
  readonly redact: (text: string) => string;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface Router {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** Ends every request that still runs. */
  readonly cancelAll: () => void;
  /** Ends the requests whose answers have no end, e.g. watches: their clients make them again, elsewhere. */
  readonly cancelEndless: () => void;
}

/** Creates the router: it finds the route of a request, and answers errors and unknown paths. `handle` never rejects. */
export function createRouter(options: RouterOptions): Router {
  const { routes, log, clock, loadGate = new LoadGate() } = options;
  const exchangeOptions = { ...options, loadGate };
  const exact = new Map<string, Route>();
  for (const route of routes) if (!route.path.endsWith("/*")) exact.set(route.path, route);
  const prefixes = routes.filter(({ path }) => path.endsWith("/*"));
  const running = new Set<Exchange>();
  const cors = createCors(options.corsOrigins ?? []);

  const find = (path: string): { route: Route; rest: string } | undefined => {
    const route = exact.get(path);
    if (route !== undefined) return { route, rest: "" };
    for (const prefix of prefixes) {
      const rest = path.startsWith(prefix.path.slice(0, -1)) ? path.slice(prefix.path.length - 1) : "";
      if (rest !== "") return { route: prefix, rest };
    }
    return undefined;
  };

  const dispatch = async (exchange: Exchange, match: ReturnType<typeof find>): Promise<void> => {
    const { method, path, request, response } = exchange;
    if (cors.apply(request, response)) return sendNoContent(exchange);
    if (match === undefined) {
      if (path.startsWith("/routeplane.")) return options.unknownMethod(exchange);
      throw notFound(method, path);
    }
    const { route, rest } = match;
    if (method === route.method || (method === "HEAD" && route.method === "GET")) return route.handle(exchange, rest);
    const allowed = route.method === "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
    response.setHeader("allow", allowed);
    if (method !== "OPTIONS") throw methodNotAllowed(method, allowed);
    await sendNoContent(exchange);
  };

  /** Logs the one line of a request, at info but for probes, and counts it. */
  const report = ({ requestId, method, path, createdAt, response }: Exchange, route: Route | undefined): void => {
    const ms = clock() - createdAt.getTime();
    const { statusCode: status } = response;
    countRequest(route, status, ms);
    const logged = path.slice(0, MAX_LOGGED_PATH);
    if (route?.isProbe === true) return log.debug({ requestId, method, path: logged, status, ms }, "request");
    // The parser knows the methods: none has a character that JSON escapes.
    const fields = `"requestId":"${requestId}","method":"${method}","path":${JSON.stringify(logged)},"status":${status},"ms":${ms}`;
    logLine(log, fields, "request");
  };

  return {
    async handle(request, response) {
      const exchange = openExchange(request, response, exchangeOptions);
      const match = find(exchange.path);
      running.add(exchange);
      try {
        await withRequestId(exchange.requestId, () => dispatch(exchange, match));
      } catch (error) {
        await answerError(exchange, error, errorFormatOf(request, match?.route), options);
      } finally {
        running.delete(exchange);
        exchange.release();
        report(exchange, match?.route);
      }
    },
    cancelAll() {
      for (const { reply } of running) reply.cancel("stopping");
    },
    cancelEndless() {
      for (const { reply, isEndless } of running) if (isEndless) reply.cancel("stopping");
    },
  };
}

function errorFormatOf(request: IncomingMessage, route: Route | undefined): ErrorFormat {
  if (route === undefined) return errorsOfClient(request);
  const { errors = OPENAI_ERRORS } = route;
  return typeof errors === "function" ? errors(request) : errors;
}

async function sendNoContent({ reply }: Exchange): Promise<void> {
  reply.begin(204, {});
  await reply.end();
}

async function answerError(
  exchange: Exchange,
  error: unknown,
  errors: ErrorFormat,
  { redact, log }: RouterOptions,
): Promise<void> {
  const { requestId, response, reply, path } = exchange;
  const refusal = refusalOf(error);
  countRefusal(refusal.code);
  const gone = reply.signal.aborted && reply.signal.reason === "client_gone";
  // Refusals that shed load are only counted: a log line for each would add to the load.
  if (refusal.status >= 500 && refusal.code !== "overloaded" && !gone) {
    const { status, code } = refusal;
    log.error({ err: refusal.cause ?? error, requestId, path, status, code }, "request failed");
  }
  if (gone || reply.begun) {
    response.destroy();
    return;
  }
  const { status, headers, body } = toErrorAnswer(error, errors, redact);
  const bytes = Buffer.from(body);
  // Anthropic's clients look for the id of a request there.
  if (errors === ANTHROPIC_ERRORS) reply.announce({ "request-id": requestId });
  reply.begin(status, { ...headers, "content-length": String(bytes.length) });
  await reply.end(bytes);
}
