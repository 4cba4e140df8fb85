import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import type { HandlerContext, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall } from "@grpc/grpc-js";
import { peerAddressKey } from "./call-origin.ts";
import { LIMITS } from "./limits.ts";

type Message = MessageShape<DescMethodUnary["input"]>;

/** Adapter of one unary call of grpc-js to the context and request that Connect's interceptors and handlers expect. */
export class GrpcCall implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly values: ContextValues = createContextValues();
  readonly requestMethod = "POST";
  readonly protocolName = "grpc";
  readonly requestHeader: Headers;
  readonly responseHeader = new Headers();
  readonly #controller = new AbortController();
  readonly #deadline: number;
  readonly #timer: NodeJS.Timeout | undefined;
  #trailer: Headers | undefined;
  #isEnded = false;

  constructor(method: DescMethodUnary, call: ServerUnaryCall<unknown, unknown>) {
    this.method = method;
    this.requestHeader = toHeaders(call.metadata);
    this.values.set(callKey, this);
    this.values.set(peerAddressKey, hostOf(call.getPeer()));
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
    return (this.#trailer ??= new Headers());
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  timeoutMs = (): number => this.#deadline - Date.now();

  /** @param read decodes the message; called by the first interceptor that reads it, after the caller is authenticated */
  toRequest(read: () => Message): UnaryRequest {
    const { method, service, url, requestMethod, requestHeader: header, signal, values: contextValues } = this;
    let message: Message | undefined;
    return {
      stream: false,
      method,
      service,
      url,
      requestMethod,
      header,
      signal,
      contextValues,
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
    this.#controller.abort(new ConnectError(message, code));
  }
}

/** Call that a request belongs to. */
export function callOf({ contextValues }: UnaryRequest): GrpcCall {
  const call = contextValues.get(callKey);
  if (call === undefined) throw new Error("the request is not of the grpc-js server");
  return call;
}

const callKey = createContextKey<GrpcCall | undefined>(undefined, { description: "the call on the grpc-js server" });

/** Address of a peer: `127.0.0.1` of `127.0.0.1:5000`, `::1` of `[::1]:5000`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** Converts metadata to headers, except binary entries. */
function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}
