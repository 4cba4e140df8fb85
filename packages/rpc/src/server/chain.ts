import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { onBehalfOf, type Origin } from "@routeplane/runtime";
import { type Principal, principalKey } from "../principal.ts";
import { authenticate } from "./authenticate.ts";
import { authorize } from "./authorize.ts";
import { callOriginOf } from "./call-origin.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import { findCall } from "./grpc-call.ts";
import { mapErrors } from "./map-errors.ts";
import { observe } from "./observe.ts";
import { type RequestGate, requestGate } from "./request-gate.ts";
import { validate } from "./validate.ts";

/** Checks that every call of every service passes through. */
export interface RpcChain {
  /** Interceptors, outermost first. */
  readonly interceptors: Interceptor[];
  /** Check before the interceptors, by the headers alone; only the Connect server has one. See `requestGate`. */
  readonly requestGate: RequestGate;
}

export function rpcChain(options: RpcChainOptions): RpcChain {
  const { log, serviceCredentials, verifyToken } = options;
  const interceptors = [
    observe(log, serviceCredentials),
    mapErrors(log),
    enforceDeadline(),
    authenticate(serviceCredentials, verifyToken),
    attribute(),
    authorize(),
    validate(),
  ];
  return { interceptors, requestGate: requestGate(options) };
}

/** Interceptor that ends a call at its deadline (the caller's, or the server's maximum), even if its handler has not returned. */
function enforceDeadline(): Interceptor {
  return (next) => (request) => {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof next>>>();
    whenAborted(request, (reason) => {
      reject(reason instanceof ConnectError ? reason : new ConnectError("cancelled", Code.Canceled));
    });
    // Async, so that a synchronous error rejects this promise too: otherwise the later rejection by the signal would be unhandled.
    const work = async () => next(request);
    work().then(resolve, reject);
    return promise;
  };
}

/** Calls a listener with the reason once the call is aborted. A call of the grpc-js server makes no signal for it. */
function whenAborted(request: UnaryRequest | StreamRequest, listener: (reason: unknown) => void): void {
  const call = findCall(request);
  if (call !== undefined) {
    if (call.abortion !== undefined) listener(call.abortion);
    call.onAbort = listener;
    return;
  }
  const { signal } = request;
  const onAbort = (): void => listener((signal as { reason: unknown }).reason);
  if (signal.aborted) onAbort();
  // Never removed: the signal belongs to the call and ends with it.
  signal.addEventListener("abort", onAbort, { once: true });
}

/** Interceptor that attributes everything that the call changes to its caller, for the audit log. */
function attribute(): Interceptor {
  return (next) => (request) => {
    const principal = request.contextValues.get(principalKey);
    if (principal === undefined) return next(request);
    const callOrigin = callOriginOf(request.contextValues);
    const origin = {
      ...actorOf(principal),
      requestId: callOrigin.requestId,
      get address() {
        return callOrigin.address;
      },
    };
    return onBehalfOf(origin, () => next(request));
  };
}

function actorOf(principal: Principal): Pick<Origin, "actorType" | "actorId" | "accountId"> {
  switch (principal.kind) {
    case "key":
      return { actorType: "api_key", actorId: principal.keyId, accountId: principal.accountId };
    case "operator":
      return { actorType: "operator", actorId: principal.operatorId, accountId: principal.accountId ?? "" };
    case "service":
      return { actorType: "service", actorId: "", accountId: "" };
  }
}
