import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import { DomainError } from "@routeplane/domain";
import { isInternal, publishedServices, toConnectError } from "@routeplane/rpc";
import type { ServiceRelay } from "../clients/service-relay.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";

export type ServiceName = keyof ReturnType<typeof publishedServices>;

/**
 * The management API: every method of the contracts that outside callers may call, passed on as it is. The service behind it
 * authenticates and authorises. Methods for services only are not in the table, so they look like unknown ones.
 */
export function managementRoutes(relays: Readonly<Record<ServiceName, ServiceRelay>>): readonly Route[] {
  return Object.entries(publishedServices()).flatMap(([name, services]) =>
    services
      .flatMap((service) => service.methods)
      .filter((method) => !isInternal(method))
      .map((method): Route => ({
        method: "POST",
        path: `/${method.parent.typeName}/${method.name}`,
        reaches: "service",
        handle: (exchange) => forward(exchange, name, relays[name as ServiceName]),
      })),
  );
}

/** What is answered for a method that does not exist, or not for outside callers. */
export async function unknownMethod(exchange: Exchange): Promise<void> {
  await sendConnectError(exchange, new ConnectError("there is no such method", Code.Unimplemented), 404);
}

async function forward(exchange: Exchange, name: string, relay: ServiceRelay): Promise<void> {
  if (carriesServiceToken(exchange)) {
    const error = new DomainError("unauthenticated", "CREDENTIAL_INVALID", "the credential is not valid");
    return sendConnectError(exchange, toConnectError(error));
  }
  if ((exchange.request.headersDistinct["authorization"]?.length ?? 0) > 1) {
    const message = "two different credentials in one request: send one";
    const error = new DomainError("unauthenticated", "CREDENTIAL_MISSING", message);
    return sendConnectError(exchange, toConnectError(error));
  }
  if (exchange.request.headers["content-type"]?.startsWith("application/grpc") === true) {
    const message = "gRPC needs HTTP/2: call the service's own port, or use Connect here";
    return sendConnectError(exchange, new ConnectError(message, Code.Unimplemented), 415);
  }
  try {
    await relay.forward(exchange);
  } catch (error) {
    if (exchange.response.headersSent || exchange.reply.signal.aborted) {
      exchange.response.destroy();
      return;
    }
    const message = `the ${name} service does not answer; try again`;
    const down = new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, { metadata: { dependency: name } });
    // Connect's own status for a request that is too large is 429, which would tell clients to send it again.
    if (error instanceof Refusal) {
      return sendConnectError(exchange, new ConnectError(error.message, Code.ResourceExhausted), error.facts.status);
    }
    // What else there is to say of a connection is where the service would be: nothing for those outside.
    const late = error instanceof ConnectError && error.code === Code.DeadlineExceeded;
    await sendConnectError(exchange, late ? error : toConnectError(down));
  }
}

/** A service credential opens internal methods: from outside it is refused wherever it stands. */
function carriesServiceToken({ request: { headers } }: Exchange): boolean {
  return [headers.authorization, headers["x-api-key"]]
    .flat()
    .some((value) => value !== undefined && /\brps_/i.test(value));
}

async function sendConnectError(exchange: Exchange, error: ConnectError, status?: number): Promise<void> {
  await exchange.sendJson(status ?? codeToHttpStatus(error.code), errorToJson(error, undefined));
}
