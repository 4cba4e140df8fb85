import type { DescMethod } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { DomainError } from "@routeplane/domain";
import { type Principal, principalKey, type VerifyToken } from "../principal.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import { CallRate } from "./call-rate.ts";
import { createIdentify } from "./authenticate.ts";
import { requireAccess } from "./authorize.ts";
import { findCallOrigin } from "./call-origin.ts";
import { mapError } from "./map-errors.ts";
import { beginCall } from "./observe.ts";

/** Lets a call in by its headers alone. */
export type RequestGate = (context: HandlerContext) => Promise<void>;

/**
 * Authenticates and authorizes before anything of the body is read, decompressed or parsed: whoever may not call costs no
 * more than a header, and no credential calls too often. The chain, which comes after, finds the principal.
 */
export function requestGate({ log, serviceCredentials, verifyToken, monotonic }: RpcChainOptions): RequestGate {
  const identify = createIdentify(serviceCredentials, verifyToken);
  const rate = new CallRate(monotonic);
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

/** Finds the caller of a call by its headers; undefined on a public method. */
export type Authenticate = (method: DescMethod, header: Headers) => Promise<Principal | undefined>;

/**
 * For whoever passes calls from outside on to a service, so that nothing of the body of a refused one is read: the same check as
 * there, by which no service credential is known.
 *
 * @returns a function that throws DomainError UNAUTHENTICATED, or UNAVAILABLE if it cannot be known
 */
export function createAuthenticate(verifyToken: VerifyToken): Authenticate {
  const identify = createIdentify({ callerOf: () => undefined }, verifyToken);
  return async (method, header) => identify(method, header);
}
