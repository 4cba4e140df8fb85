import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { DomainError, serviceCredentialMisused } from "@routeplane/domain";
import {
  type Authenticate,
  isIdempotent,
  type Principal,
  type RelayedMethod,
  relayedMethods,
  type RelayedService,
  requestBytesOf,
  requireAccess,
  type ServiceRelay,
  toConnectAnswer,
  toConnectError,
  toRelayError,
} from "@routeplane/rpc";
import type { TrustedProxies } from "@routeplane/runtime";
import { Refusal } from "../domain/errors/refusal.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";

export interface ManagementDependencies {
  readonly relays: Readonly<Record<RelayedService, ServiceRelay>>;
  /** Verifies the caller before the body is read. The service behind the relay authenticates and authorises again. */
  readonly authenticate: Authenticate;
  readonly trustedProxies: TrustedProxies;
}

/**
 * Routes of the management API: every method of the contracts that is not internal, relayed unchanged. Internal methods have no
 * route, so that they look like unknown ones.
 */
export function managementRoutes({ relays, ...dependencies }: ManagementDependencies): readonly Route[] {
  return relayedMethods().map((relayed): Route => ({
    method: "POST",
    path: relayed.path,
    reaches: "service",
    handle: (exchange) => forward(exchange, { ...relayed, ...dependencies, relay: relays[relayed.service] }),
  }));
}

/** Answers a call to a method that does not exist or is internal. */
export async function unknownMethod(exchange: Exchange): Promise<void> {
  const error = new ConnectError("there is no such method", Code.Unimplemented);
  await sendConnectError(exchange, toConnectError(error), { status: 404 });
}

interface ManagementMethod extends RelayedMethod, Omit<ManagementDependencies, "relays"> {
  readonly relay: ServiceRelay;
}

async function forward(exchange: Exchange, called: ManagementMethod): Promise<void> {
  const { service, method, path, relay, authenticate, trustedProxies } = called;
  const { request, response, reply, requestId } = exchange;
  if (request.headers["content-type"]?.startsWith("application/grpc") === true) {
    const message = "gRPC needs HTTP/2: call the service's own port, or use Connect here";
    return sendConnectError(exchange, toConnectError(new ConnectError(message, Code.Unimplemented)), { status: 415 });
  }
  try {
    requireOutsideCredential(exchange);
    const caller = await authenticate(method, new Headers(credentialHeaders(exchange)));
    const maxBytes = requestBytesOf(method);
    exchange.requireAnnouncedSize(maxBytes);
    requireAccess(method, caller);
    const body = await exchange.readBody(maxBytes, holdersOf(caller));
    const isStream = method.methodKind !== "unary";
    if (isStream) exchange.markEndless();
    const clientAddress = trustedProxies.clientAddressOf(request);
    const call = { path, headers: request.headers, requestId, clientAddress, body, isStream };
    await relay.forward({ ...call, isIdempotent: isIdempotent(method) }, reply);
  } catch (error) {
    if (response.headersSent || reply.signal.aborted) {
      response.destroy();
      return;
    }
    // Connect maps a request that is too large to 429, on which clients would send it again.
    const { status, retryAfter } = error instanceof Refusal ? error : {};
    if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
    await sendConnectError(exchange, toAnswer(error, service), { method, ...(status !== undefined && { status }) });
  }
}

/** Holders of a body in the `BodyBudget`. Calls without a credential count as one holder. */
function holdersOf(caller: Principal | undefined): readonly string[] {
  if (caller?.kind === "key") return [caller.namespaceId, caller.keyId];
  return caller?.kind === "operator" ? [caller.accountId ?? "", caller.operatorId] : [""];
}

/** Converts an error of a relayed call to the one for the client. @param service name of the service that was called */
function toAnswer(error: unknown, service: string): ConnectError {
  if (!(error instanceof Refusal)) return toRelayError(error, service);
  return new ConnectError(error.message, error.status === 503 ? Code.Unavailable : Code.ResourceExhausted);
}

/**
 * @throws DomainError UNAUTHENTICATED for two `Authorization` headers, of which only the first would be relayed, and for a
 * service or an internal credential
 */
function requireOutsideCredential(exchange: Exchange): void {
  if (carriesServiceToken(exchange)) throw serviceCredentialMisused();
  if ((exchange.request.headersDistinct["authorization"]?.length ?? 0) > 1) {
    const message = "two different credentials in one request: send one";
    throw new DomainError("unauthenticated", "CREDENTIAL_MISSING", message);
  }
}

/** Returns true if a header holds a service or an internal credential, which gives access to internal methods. */
function carriesServiceToken({ request: { headers } }: Exchange): boolean {
  return [headers.authorization, headers["x-api-key"]]
    .flat()
    .some((value) => value !== undefined && /\brps_/i.test(value));
}

function credentialHeaders({ request: { headers } }: Exchange): [string, string][] {
  return ["authorization", "x-api-key"].flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, String(value)]];
  });
}

/**
 * Answers with an error in the services' own format.
 *
 * @param status HTTP status of an answer that is not a stream; that of the error's code by default
 */
async function sendConnectError(
  exchange: Exchange,
  error: ConnectError,
  options: { readonly method?: DescMethod; readonly status?: number } = {},
): Promise<void> {
  const { request, requestId, reply } = exchange;
  const requestType = request.headers["content-type"];
  const { status, type, body } = toConnectAnswer(error, { ...options, requestType, requestId });
  reply.begin(status, {
    "content-type": type,
    ...(type === "application/json" && { "content-length": `${body.length}` }),
  });
  await reply.end(body);
}
