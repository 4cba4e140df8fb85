import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { onBehalfOf } from "@routeplane/runtime";
import { principalKey } from "../principal.ts";
import { authenticate, authenticateMessages } from "./authenticate.ts";
import { authorize } from "./authorize.ts";
import { CallRate } from "./call-rate.ts";
import { callOriginOf } from "./call-origin.ts";
import { CallerOrigin } from "./caller-origin.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import { mapErrors } from "./map-errors.ts";
import { observe } from "./observe.ts";
import { type RequestGate, requestGate } from "./request-gate.ts";
import { type UnaryChain, unaryChain } from "./unary-chain.ts";
import { validate } from "./validate.ts";

/** Checks that every call of every service passes through. */
export interface RpcChain {
  /** Interceptors of the Connect server, outermost first. */
  readonly interceptors: Interceptor[];
  /** Check before the interceptors, by the headers alone, on the Connect server. See `requestGate`. */
  readonly requestGate: RequestGate;
  /** The same steps for the grpc-js server. */
  readonly unaryChain: UnaryChain;
}

export function rpcChain(options: RpcChainOptions): RpcChain {
  const { log, serviceCredentials, verifyToken } = options;
  const rate = new CallRate(options.monotonic);
  const interceptors = [
    observe(log, serviceCredentials),
    mapErrors(log),
    enforceDeadline(),
    authenticate(serviceCredentials, verifyToken),
    attribute(),
    authorize(),
    authenticateMessages(serviceCredentials, verifyToken),
    validate(),
  ];
  return { interceptors, requestGate: requestGate(options, rate), unaryChain: unaryChain(options, rate) };
}

/** Interceptor that ends a call at its deadline (the caller's, or the server's maximum), even if its handler has not returned. */
function enforceDeadline(): Interceptor {
  return (next) => (request) => {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof next>>>();
    const { signal } = request;
    const onAbort = (): void => {
      const { reason } = signal as { reason: unknown };
      // INTERNAL: the caller reset the stream, as connect-node's clients do at their deadline. That is no fault of the service.
      const isEnd = reason instanceof ConnectError && reason.code !== Code.Internal;
      reject(isEnd ? reason : new ConnectError("cancelled", Code.Canceled));
    };
    if (signal.aborted) onAbort();
    // Never removed: the signal belongs to the call and ends with it.
    signal.addEventListener("abort", onAbort, { once: true });
    // Async, so that a synchronous error rejects this promise too: otherwise the later rejection by the signal would be unhandled.
    const work = async () => next(request);
    work().then(resolve, reject);
    return promise;
  };
}

/** Interceptor that attributes everything that the call changes to its caller, for the audit log. */
function attribute(): Interceptor {
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    if (principal === undefined) return next(request);
    return onBehalfOf(new CallerOrigin(principal, callOriginOf(request.contextValues)), () => next(request));
  };
}
