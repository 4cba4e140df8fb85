import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, endStreamFlag, endStreamToJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { DomainError, serviceCredentialMisused } from "@routeplane/domain";
import {
  type Authenticate,
  isIdempotent,
  isInternal,
  type Principal,
  publishedServices,
  requestBytesOf,
  requireAccess,
  toConnectError,
} from "@routeplane/rpc";
import { Refusal } from "../domain/errors/refusal.ts";
import { type ServiceRelay, UnknownOutcome } from "./service-relay.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";

export type ServiceName = keyof ReturnType<typeof publishedServices>;

export interface ManagementDependencies {
  readonly relays: Readonly<Record<ServiceName, ServiceRelay>>;
  /** Verifies the caller before the body is read. The service behind the relay authenticates and authorises again. */
  readonly authenticate: Authenticate;
}

/**
 * Routes of the management API: every method of the contracts that is not internal, relayed unchanged. Internal methods have no
 * route, so that they look like unknown ones.
 */
export function managementRoutes({ relays, authenticate }: ManagementDependencies): readonly Route[] {
  return Object.entries(publishedServices()).flatMap(([name, services]) =>
    services
      .flatMap((service) => service.methods)
      .filter((method) => !isInternal(method))
      .map((method): Route => ({
        method: "POST",
        path: `/${method.parent.typeName}/${method.name}`,
        reaches: "service",
        handle: (exchange) =>
          forward(exchange, { service: name, method, relay: relays[name as ServiceName], authenticate }),
      })),
  );
}

/** Answers a call to a method that does not exist or is internal. */
export async function unknownMethod(exchange: Exchange): Promise<void> {
  await sendConnectError(exchange, new ConnectError("there is no such method", Code.Unimplemented), { status: 404 });
}

interface ManagementMethod {
  readonly service: string;
  readonly method: DescMethod;
  readonly relay: ServiceRelay;
  readonly authenticate: Authenticate;
}

async function forward(exchange: Exchange, { service, method, relay, authenticate }: ManagementMethod): Promise<void> {
  const { request, response, reply } = exchange;
  if (request.headers["content-type"]?.startsWith("application/grpc") === true) {
    const message = "gRPC needs HTTP/2: call the service's own port, or use Connect here";
    return sendConnectError(exchange, new ConnectError(message, Code.Unimplemented), { status: 415 });
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
    await relay.forward(exchange, { body, isStream, isIdempotent: isIdempotent(method) });
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
  if (error instanceof Refusal) {
    return new ConnectError(error.message, error.status === 503 ? Code.Unavailable : Code.ResourceExhausted);
  }
  if (error instanceof DomainError) return toConnectError(error);
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded) return error;
  if (error instanceof UnknownOutcome) {
    const message = `the ${service} service did not answer: whether the call was done is not known, so look before you try again`;
    const metadata = { dependency: service, outcome: "unknown" };
    return toConnectError(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata }));
  }
  // The message of any other error may contain the address of the service, which callers must not learn.
  const message = `the ${service} service does not answer; try again`;
  const metadata = { dependency: service };
  return toConnectError(new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata }));
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
 * Answers with an error in the services' own format: a call to a streaming method gets it within the stream, whose HTTP status
 * is 200.
 *
 * @param status HTTP status of any other call; that of the error's code by default
 */
async function sendConnectError(
  exchange: Exchange,
  error: ConnectError,
  { method, status }: { readonly method?: DescMethod; readonly status?: number } = {},
): Promise<void> {
  const type = exchange.request.headers["content-type"];
  if (method === undefined || method.methodKind === "unary" || type?.startsWith("application/connect+") !== true) {
    return exchange.sendJson(status ?? codeToHttpStatus(error.code), errorToJson(error, undefined));
  }
  error.metadata.set("x-request-id", exchange.requestId);
  const message = Buffer.from(JSON.stringify(endStreamToJson(error.metadata, error, undefined)));
  const head = Buffer.from([endStreamFlag, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  exchange.reply.begin(200, { "content-type": type });
  await exchange.reply.end(Buffer.concat([head, message]));
}
