import { Code } from "@connectrpc/connect";
import { SessionService } from "@routeplane/contracts/auth";
import {
  isIdempotent,
  type RelayedMethod,
  relayedMethods,
  type RelayedService,
  requestBytesOf,
  type ServiceRelay,
  toConnectAnswer,
  toRelayError,
} from "@routeplane/rpc";
import type { CallKind, CallSlots } from "../domain/call-slots.ts";
import type { BrowserSession, BrowserSessions } from "./browser-sessions.ts";
import type { Exchange } from "./exchange.ts";
import { methodNotAllowed, Refusal, toRefusalError } from "./refusal.ts";
import { readBody } from "./request-body.ts";

/** Prefix of the paths of relayed calls. */
export const RELAY_PREFIX = "/api/";

/** Content types of Connect. A form can send none of them. */
const TYPES = /^application\/(?:connect\+)?(?:json|proto)\s*(?:;|$)/i;
/** Header with the namespace that the page shows. */
const PAGE_NAMESPACE = "x-routeplane-namespace";

/**
 * Methods that are not relayed, although other clients may call them: they return the token of a session or a sign-in code, which a page
 * must never have, or end the session without removing its cookie.
 */
const NOT_RELAYED: ReadonlySet<string> = new Set(
  [
    SessionService.method.createSession,
    SessionService.method.exchangeSession,
    SessionService.method.createSignInCode,
    SessionService.method.endSession,
  ].map(({ parent, name }) => `/${parent.typeName}/${name}`),
);

export interface RelayRouteOptions {
  readonly relays: Readonly<Record<RelayedService, ServiceRelay>>;
  readonly sessions: BrowserSessions;
  readonly slots: CallSlots;
}

/** Relay of the page's calls to the services, with the credential of the browser's session. */
export interface RelayRoute {
  readonly handle: (exchange: Exchange) => Promise<void>;
  /** Ends the calls with endless responses. Their pages make them again, to another process. */
  readonly cancelStreams: () => void;
}

export function createRelayRoute({ relays, sessions, slots }: RelayRouteOptions): RelayRoute {
  const methods = new Map(relayedMethods().map((relayed) => [relayed.path, relayed]));
  const streams = new Set<Exchange>();

  /** @throws Error if there is no response to pass on */
  const forward = async (exchange: Exchange, called: RelayedMethod, session: BrowserSession): Promise<void> => {
    const { method, path, service } = called;
    const { request, requestId, clientAddress, signal } = exchange;
    const body = await readBody(request, requestBytesOf(method));
    const isStream = method.methodKind !== "unary";
    const headers = { ...request.headers, authorization: `Bearer ${session.token}`, "x-api-key": undefined };
    const call = { path, headers, requestId, clientAddress, body, isStream, isIdempotent: isIdempotent(method) };
    const begin = (status: number, answered: Readonly<Record<string, string>>): void => {
      // If the session can leave its namespace, the reason may be the state of the namespace. The page finds out by `GET /session`.
      const canLeave = session.canSwitch && session.namespaceId !== "";
      if (status === UNAUTHORIZED && !canLeave) sessions.removeRefused(exchange, session);
      exchange.begin(status, { ...answered, ...NOT_STORED, ...(isStream && UNBUFFERED) });
    };
    const write = (bytes: Uint8Array): Promise<void> => exchange.write(bytes);
    await relays[service].forward(call, { signal, begin, write, end: () => exchange.end() });
  };

  /** @throws Refusal for a call that may not be made; otherwise as `forward` */
  const admit = async (exchange: Exchange, called: RelayedMethod): Promise<void> => {
    const session = sessions.require(exchange);
    if (!TYPES.test(exchange.request.headers["content-type"] ?? "")) throw unsupportedType();
    refuseOtherNamespace(exchange, session);
    const kind: CallKind = called.method.methodKind === "unary" ? "unary" : "stream";
    const leave = slots.take(session.lookupId, kind);
    if (leave === undefined) throw tooManyCalls(kind);
    if (kind === "stream") streams.add(exchange);
    try {
      await forward(exchange, called, session);
    } finally {
      streams.delete(exchange);
      leave();
    }
  };

  return {
    async handle(exchange) {
      const called = methods.get(exchange.path.slice(RELAY_PREFIX.length - 1));
      if (called === undefined || NOT_RELAYED.has(called.path)) throw unknownMethod();
      if (exchange.method !== "POST") throw methodNotAllowed("POST");
      try {
        await admit(exchange, called);
      } catch (error) {
        if (exchange.response.headersSent || exchange.signal.aborted) return exchange.cancel();
        sendError(exchange, called, error);
      }
    },
    cancelStreams() {
      for (const exchange of streams) exchange.cancel();
    },
  };
}

const UNAUTHORIZED = 401;
const NOT_STORED = { "cache-control": "no-store" };
/** Header that keeps proxies, e.g. nginx, from buffering a stream. */
const UNBUFFERED = { "x-accel-buffering": "no" };

function sendError(exchange: Exchange, { method, service }: RelayedMethod, error: unknown): void {
  const requestType = exchange.request.headers["content-type"];
  const { requestId } = exchange;
  const isRefusal = error instanceof Refusal;
  const connectError = isRefusal ? toRefusalError(error) : toRelayError(error, service);
  const options = { method, requestType, requestId, ...(isRefusal && { status: error.status }) };
  const { status, type, body } = toConnectAnswer(connectError, options);
  exchange.send(status, { "content-type": type, ...NOT_STORED, ...(isRefusal && error.headers) }, body);
}

/**
 * Refuses a call of a page that shows another namespace than that of the session, because another tab has switched it.
 *
 * @throws Refusal 409
 */
function refuseOtherNamespace({ request }: Exchange, { namespaceId }: BrowserSession): void {
  const shown = request.headers[PAGE_NAMESPACE];
  if (shown === undefined || shown === namespaceId) return;
  const message = "this browser has switched to another namespace since the page was opened: load the page again";
  throw new Refusal(409, Code.FailedPrecondition, message);
}

function unknownMethod(): Refusal {
  return new Refusal(404, Code.Unimplemented, "there is no such method");
}

function unsupportedType(): Refusal {
  return new Refusal(415, Code.InvalidArgument, "the content type must be one of Connect, in JSON or binary");
}

function tooManyCalls(kind: CallKind): Refusal {
  const calls = kind === "unary" ? "calls" : "streams";
  return new Refusal(429, Code.ResourceExhausted, `too many ${calls} of this session are running; try again`, {
    "retry-after": "1",
  });
}
