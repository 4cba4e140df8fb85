import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import type { HandlerContext, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { peerAddressKey } from "./call-origin.ts";
import { LIMITS } from "./limits.ts";
import { MetadataHeaders } from "./metadata-headers.ts";

type Message = MessageShape<DescMethodUnary["input"]>;

/**
 * Adapter of one unary call of grpc-js to the context and request that Connect's interceptors and handlers expect. What few calls use
 * (signal, trailers, the address of the peer) is made when it is used.
 */
export class GrpcCall implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly values: ContextValues = createContextValues();
  readonly requestMethod = "POST";
  readonly protocolName = "grpc";
  readonly requestHeader: Headers;
  readonly responseHeader: Headers = new MetadataHeaders();
  readonly #deadline: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #abortion: ConnectError | undefined;
  #trailer: Headers | undefined;
  #isEnded = false;
  /** Called when the call is aborted. */
  onAbort: ((reason: ConnectError) => void) | undefined;

  constructor(method: DescMethodUnary, call: ServerUnaryCall<unknown, unknown>) {
    this.method = method;
    this.requestHeader = MetadataHeaders.of(call.metadata);
    this.values.set(callKey, this);
    this.values.set(peerAddressKey, () => hostOf(call.getPeer()));
    const callerDeadline = Number(call.getDeadline());
    const latestDeadline = Date.now() + LIMITS.maxTimeoutMs;
    this.#deadline = Math.min(callerDeadline, latestDeadline);
    // At the caller's deadline grpc-js responds by itself, and then emits "cancelled".
    if (callerDeadline > latestDeadline) this.#timer = setTimeout(() => this.#abort(), LIMITS.maxTimeoutMs);
    call.once("cancelled", () => this.#abort());
  }

  get service() {
    return this.method.parent;
  }

  get url(): string {
    return `http://grpc/${this.method.parent.typeName}/${this.method.name}`;
  }

  get responseTrailer(): Headers {
    return (this.#trailer ??= new MetadataHeaders());
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortion !== undefined) this.#controller.abort(this.#abortion);
    }
    return this.#controller.signal;
  }

  /** Reason of the abortion; undefined while the call is not aborted. */
  get abortion(): ConnectError | undefined {
    return this.#abortion;
  }

  timeoutMs = (): number => this.#deadline - Date.now();

  /** @param read decodes the message; called by the first interceptor that reads it, after the caller is authenticated */
  toRequest(read: () => Message): UnaryRequest {
    const { method, service, url, requestMethod, requestHeader: header, values: contextValues } = this;
    const signalOf = (): AbortSignal => this.signal;
    let message: Message | undefined;
    return {
      stream: false,
      method,
      service,
      url,
      requestMethod,
      header,
      contextValues,
      get signal() {
        return signalOf();
      },
      get message() {
        return (message ??= read());
      },
    };
  }

  toResponse(message: Message): UnaryResponse {
    const { method, service, responseHeader: header, responseTrailer: trailer } = this;
    return { stream: false, method, service, header, trailer, message };
  }

  /** Marks the call as ended. Called when the response is known. */
  end(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
  }

  /** Aborts the call, unless it has ended: grpc-js emits "cancelled" for every call once its stream is closed. */
  #abort(): void {
    if (this.#isEnded) return;
    clearTimeout(this.#timer);
    const isPastDeadline = this.timeoutMs() <= 0;
    const [message, code] = isPastDeadline
      ? (["the deadline has passed", Code.DeadlineExceeded] as const)
      : (["cancelled", Code.Canceled] as const);
    this.#abortion = new ConnectError(message, code);
    this.#controller?.abort(this.#abortion);
    this.onAbort?.(this.#abortion);
  }
}

/** Call that a request belongs to. */
export function callOf(request: UnaryRequest): GrpcCall {
  const call = findCall(request);
  if (call === undefined) throw new Error("the request is not of the grpc-js server");
  return call;
}

/** Call that a request belongs to; undefined for one of the Connect server. */
export function findCall({ contextValues }: Pick<UnaryRequest, "contextValues">): GrpcCall | undefined {
  return contextValues.get(callKey);
}

const callKey = createContextKey<GrpcCall | undefined>(undefined, { description: "the call on the grpc-js server" });

/** Address of a peer: `127.0.0.1` of `127.0.0.1:5000`, `::1` of `[::1]:5000`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}
