import type { DescMethod } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { type Principal, principalKey, type VerifyToken } from "../principal.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import type { CallRate } from "./call-rate.ts";
import { createIdentify } from "./authenticate.ts";
import { requireAccess } from "./authorize.ts";
import { findCallOrigin } from "./call-origin.ts";
import { mapError } from "./map-errors.ts";
import { beginCall } from "./observe.ts";

/** Check of a call by its headers alone; rejects with the error for the caller. */
export type RequestGate = (context: HandlerContext) => Promise<void>;

/**
 * Creates the request gate: it authenticates, counts and authorizes a call before anything of its body is read, decompressed or
 * parsed, so a refused call costs no more than its headers. The interceptors that follow find the principal in the context.
 */
export function requestGate({ log, serviceCredentials, verifyToken }: RpcChainOptions, rate: CallRate): RequestGate {
  const identify = createIdentify(serviceCredentials, verifyToken);
  return async ({ method, requestHeader, values }) => {
    const { requestId } = findCallOrigin(serviceCredentials, requestHeader, values);
    const call = beginCall(log, method, requestId);
    try {
      const principal = await identify(method, requestHeader);
      rate.take(principal);
      requireAccess(method, principal);
      values.set(principalKey, principal);
    } catch (error) {
      const failed = call.failed(mapError(log, error, call.requestId, method.methodKind !== "unary"));
      const retryAfter = error instanceof DomainError ? error.metadata["retry_after"] : undefined;
      if (retryAfter !== undefined) failed.metadata.set("retry-after", retryAfter);
      throw failed;
    }
  };
}

/** Authenticates a client's call by its headers; undefined on a public method. */
export type Authenticate = (method: DescMethod, header: Headers) => Promise<Principal | undefined>;

/**
 * Creates the authentication of calls that are relayed to a service for clients, so that nothing of the body of a refused call is
 * read. It is the check of the service itself, except that no service credential is accepted.
 *
 * @returns a function that rejects with a DomainError UNAUTHENTICATED, or UNAVAILABLE if the token cannot be verified now
 */
export function createAuthenticate(verifyToken: VerifyToken): Authenticate {
  const identify = createIdentify({ callerOf: () => undefined }, verifyToken);
  return async (method, header) => identify(method, header);
}
