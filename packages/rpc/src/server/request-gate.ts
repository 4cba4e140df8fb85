import type { HandlerContext } from "@connectrpc/connect";
import { principalKey } from "../principal.ts";
import type { RpcChainOptions } from "./chain.ts";
import { createIdentify } from "./authenticate.ts";
import { requireAccess } from "./authorize.ts";
import { mapError } from "./map-errors.ts";
import { beginCall } from "./observe.ts";

/** Lets a call in by its headers alone. */
export type RequestGate = (context: HandlerContext) => Promise<void>;

/**
 * Authenticates and authorizes before anything of the body is read, decompressed or parsed: whoever may not call costs no
 * more than a header. The chain, which comes after, finds the principal.
 */
export function requestGate({ log, serviceCredentials, verifyToken }: RpcChainOptions): RequestGate {
  const identify = createIdentify(serviceCredentials, verifyToken);
  return async ({ method, requestHeader, values }) => {
    const call = beginCall(log, method, requestHeader);
    try {
      const principal = await identify(method, requestHeader);
      requireAccess(method, principal);
      values.set(principalKey, principal);
    } catch (error) {
      throw call.failed(mapError(log, error, call.requestId, method.methodKind !== "unary"));
    }
  };
}
