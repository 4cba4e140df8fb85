import type { CallHeaders } from "./call-headers.ts";
import { toRouteplaneError } from "./convert-error.ts";
import type { Caller, CallerSubscription, Requirement, Verifier } from "./verifier.ts";

/** Part of `Metadata` of @grpc/grpc-js that is used here, because this package does not depend on that library. */
type Metadata = CallHeaders & object;

interface Status {
  readonly code: number;
  readonly details: string;
}

/** Call that an interceptor wraps: `ServerInterceptingCallInterface` of @grpc/grpc-js. */
interface NextCall {
  sendStatus(status: Status): void;
}

/** Hooks of an interceptor's call: `Responder` of @grpc/grpc-js. */
interface Responder<M> {
  start(next: (listener: Listener<M>) => void): void;
  sendStatus(status: Status, next: (status: Status) => void): void;
}

interface Listener<M> {
  onReceiveMetadata(metadata: M, next: (metadata: M) => void): void;
  onCancel(): void;
}

export interface GrpcRequirement extends Requirement {
  /** Paths of methods that anybody may call, e.g. `/grpc.health.v1.Health/Check`. None by default. */
  readonly publicMethods?: readonly string[];
}

const callers = new WeakMap<object, Caller>();

/** Returns the caller of a call that `grpcInterceptor` has let through. @param metadata `call.metadata` */
export function callerOf(metadata: object): Caller {
  const caller = callers.get(metadata);
  if (caller === undefined)
    throw new Error("the call was not authenticated: its server has no grpcInterceptor, or its method is public");
  return caller;
}

/**
 * Protects a server of @grpc/grpc-js: handlers receive only calls with a valid key, streams included. Any other call ends with the status
 * of the error, and so does a call that is running when its key is revoked.
 *
 *     const server = new Server({ interceptors: [grpcInterceptor(keys, ServerInterceptingCall)] });
 *     const { namespaceId } = callerOf(call.metadata);
 *
 * @param ServerInterceptingCall the class of that name in @grpc/grpc-js
 */
export function grpcInterceptor<N extends NextCall, M extends Metadata, C>(
  verifier: Verifier,
  ServerInterceptingCall: new (next: N, responder?: Responder<M>) => C,
  { publicMethods = [], ...requirement }: GrpcRequirement = {},
): (method: { readonly path: string }, next: N) => C {
  return ({ path }, call) => {
    if (publicMethods.includes(path)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, new ProtectedCall<M>(verifier, requirement, call));
  };
}

/**
 * Call through the interceptor. It is authenticated before its handler is called, and stays subscribed to the key until its status is sent.
 */
class ProtectedCall<M extends Metadata> implements Responder<M> {
  readonly #verifier: Verifier;
  readonly #requirement: Requirement;
  readonly #call: NextCall;
  #subscription: CallerSubscription | undefined;
  #isEnded = false;

  constructor(verifier: Verifier, requirement: Requirement, call: NextCall) {
    this.#verifier = verifier;
    this.#requirement = requirement;
    this.#call = call;
  }

  readonly start = (next: (listener: Listener<M>) => void): void => {
    next({
      onReceiveMetadata: (metadata, proceed) => {
        this.#verifier.subscribe(metadata, this.#requirement).then(
          (subscription) => this.#admit(metadata, subscription, proceed),
          (error: unknown) => this.#refuse(error),
        );
      },
      onCancel: () => this.#end(),
    });
  };

  readonly sendStatus = (status: Status, next: (status: Status) => void): void => {
    this.#end();
    next(status);
  };

  #admit(metadata: M, subscription: CallerSubscription, proceed: (metadata: M) => void): void {
    if (this.#isEnded) return subscription.release();
    this.#subscription = subscription;
    const { caller, signal } = subscription;
    callers.set(metadata, caller);
    signal.addEventListener("abort", () => this.#refuse(signal.reason), { once: true });
    proceed(metadata);
  }

  #refuse(error: unknown): void {
    if (this.#isEnded) return;
    this.#end();
    const { code, message } = toRouteplaneError(error);
    this.#call.sendStatus({ code, details: message });
  }

  #end(): void {
    this.#isEnded = true;
    this.#subscription?.release();
  }
}
