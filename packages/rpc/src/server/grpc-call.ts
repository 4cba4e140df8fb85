import type { DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { type Principal, principalKey } from "../principal.ts";
import { LIMITS } from "./limits.ts";
import { MetadataHeaders } from "./metadata-headers.ts";

/**
 * Unary call of grpc-js, as the context that Connect's handlers expect. Parts that few calls use (signal, deadline, context values,
 * response headers, peer address) are created on first use.
 */
export class GrpcCall implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly requestMethod = "POST";
  readonly protocolName = "grpc";
  readonly requestHeader: Headers;
  readonly #call: ServerUnaryCall<unknown, unknown>;
  readonly #beganAt = Date.now();
  #principal: Principal | undefined;
  #values: ContextValues | undefined;
  #controller: AbortController | undefined;
  #abortion: ConnectError | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isEnded = false;

  constructor(method: DescMethodUnary, call: ServerUnaryCall<unknown, unknown>) {
    this.method = method;
    this.requestHeader = MetadataHeaders.of(call.metadata);
    this.#call = call;
  }

  /** Sets the caller, for handlers: see `principalOf`. */
  set principal(principal: Principal) {
    this.#principal = principal;
    this.#values?.set(principalKey, principal);
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    return `http://grpc/${this.method.parent.typeName}/${this.method.name}`;
  }

  get values(): ContextValues {
    return (this.#values ??= createContextValues().set(principalKey, this.#principal));
  }

  get responseHeader(): Headers {
    return (this.#responseHeader ??= new MetadataHeaders());
  }

  get responseTrailer(): Headers {
    return (this.#responseTrailer ??= new MetadataHeaders());
  }

  /** Headers and trailers of the response that a handler has set; undefined: none. */
  get responseFields(): Readonly<Record<"header" | "trailer", Headers | undefined>> {
    return { header: this.#responseHeader, trailer: this.#responseTrailer };
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortion !== undefined) this.#controller.abort(this.#abortion);
    }
    return this.#controller.signal;
  }

  timeoutMs = (): number => this.#deadline - Date.now();

  /** Calls a listener once if the call is aborted before it ends: by the caller, or at its deadline. */
  onAbort(listener: (reason: ConnectError) => void): void {
    const abort = (): void => {
      if (this.#isEnded) return;
      const isPastDeadline = this.timeoutMs() <= 0;
      this.#abortion = isPastDeadline
        ? new ConnectError("the deadline has passed", Code.DeadlineExceeded)
        : new ConnectError("cancelled", Code.Canceled);
      this.#controller?.abort(this.#abortion);
      listener(this.#abortion);
    };
    // At the caller's deadline grpc-js responds by itself, and then emits "cancelled", as it does once the stream of any call is closed.
    this.#call.once("cancelled", abort);
    if (this.#latestDeadline < this.#callerDeadline) this.#timer = setTimeout(abort, this.timeoutMs());
  }

  /** Ends the call because its outcome is known. @returns false if it had ended */
  end(): boolean {
    if (this.#isEnded) return false;
    this.#isEnded = true;
    clearTimeout(this.#timer);
    return true;
  }

  get #callerDeadline(): number {
    return Number(this.#call.getDeadline());
  }

  get #latestDeadline(): number {
    return this.#beganAt + LIMITS.maxTimeoutMs;
  }

  get #deadline(): number {
    return Math.min(this.#callerDeadline, this.#latestDeadline);
  }

  /** Address at the other end of the connection. */
  readonly peerAddress = (): string => hostOf(this.#call.getPeer());
}

/** Address of a peer: `127.0.0.1` of `127.0.0.1:5000`, `::1` of `[::1]:5000`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}
