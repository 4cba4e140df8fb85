import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { onBehalfOf, withRequestId } from "@routeplane/runtime";
import type { Principal } from "../principal.ts";
import { createIdentify } from "./authenticate.ts";
import { requireAccess } from "./authorize.ts";
import { determineCallOrigin } from "./call-origin.ts";
import type { CallRate } from "./call-rate.ts";
import { CallerOrigin } from "./caller-origin.ts";
import type { RpcChainOptions } from "./chain-options.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { mapError } from "./map-errors.ts";
import { beginCall } from "./observe.ts";
import { requireValid } from "./validate.ts";

type Message = MessageShape<DescMethodUnary["input"]>;

/** Parts of a call that its server knows. */
export interface UnaryWork {
  /** Decodes the request. Called once the caller is authenticated and admitted. */
  readonly decode: () => Message;
  /** Calls the handler, and encodes its response. */
  readonly handle: (request: Message) => Buffer | Promise<Buffer>;
  /** Sends the encoded response, or the error for the caller. Called once. */
  readonly answer: (outcome: Buffer | ConnectError, requestId: string) => void;
}

/** Serves one unary call of the grpc-js server. Errors are answered, not thrown. */
export type UnaryChain = (call: GrpcCall, work: UnaryWork) => void;

/**
 * Creates the chain of the grpc-js server: the steps of the interceptors, in their order, as one function. An interceptor needs a promise
 * and an object each for request and response. Here a call whose handler answers at once, e.g. from the cache, needs neither these nor a
 * listener for its end. Measured by test/bench/verify.ts.
 */
export function unaryChain({ log, serviceCredentials, verifyToken }: RpcChainOptions, rate: CallRate): UnaryChain {
  const identify = createIdentify(serviceCredentials, verifyToken);
  return (call, { decode, handle, answer }) => {
    const { method, requestHeader } = call;
    const origin = determineCallOrigin(serviceCredentials, requestHeader, call.peerAddress);
    const { requestId } = origin;
    const observed = beginCall(log, method, requestId);
    const succeed = (response: Buffer): void => {
      if (!call.end()) return;
      observed.succeeded();
      answer(response, requestId);
    };
    const fail = (error: unknown): void => {
      if (call.end()) answer(observed.failed(mapError(log, error, requestId, false)), requestId);
    };
    const proceed = (principal: Principal | undefined): Buffer | Promise<Buffer> => {
      rate.take(principal);
      requireAccess(method, principal);
      const request = decode();
      requireValid(method, request);
      if (principal === undefined) return withRequestId(requestId, () => handle(request));
      call.principal = principal;
      return onBehalfOf(new CallerOrigin(principal, origin), () => handle(request));
    };
    try {
      const principal = withRequestId(requestId, () => identify(method, requestHeader));
      const response = principal instanceof Promise ? principal.then(proceed) : proceed(principal);
      if (!(response instanceof Promise)) return succeed(response);
      call.onAbort(fail);
      response.then(succeed, fail);
    } catch (error) {
      fail(error);
    }
  };
}
