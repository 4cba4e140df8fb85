import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import type { HandlerContext, UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall } from "@grpc/grpc-js";
import { peerAddressKey } from "./call-origin.ts";
import { LIMITS } from "./limits.ts";

type Message = MessageShape<DescMethodUnary["input"]>;

/** One unary call on the grpc-js server, as interceptors and handlers see every call. */
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
  #ended = false;

  constructor(method: DescMethodUnary, call: ServerUnaryCall<unknown, unknown>) {
    this.method = method;
    this.requestHeader = toHeaders(call.metadata);
    this.values.set(callKey, this);
    this.values.set(peerAddressKey, hostOf(call.getPeer()));
    const own = Number(call.getDeadline());
    const longest = Date.now() + LIMITS.maxTimeoutMs;
    this.#deadline = Math.min(own, longest);
    // grpc-js answers by itself at the caller's deadline, and then says that the call is cancelled.
    if (own > longest) this.#timer = setTimeout(() => this.#abort(), LIMITS.maxTimeoutMs);
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

  /** @param read the message, which is not read before the first interceptor that wants it: after the caller is known */
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

  /** To be called when the answer is known. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** grpc-js says of every call that it is cancelled, once its stream is closed. */
  #abort(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    const isLate = this.timeoutMs() <= 0;
    const [message, code] = isLate
      ? (["the deadline has passed", Code.DeadlineExceeded] as const)
      : (["cancelled", Code.Canceled] as const);
    this.#controller.abort(new ConnectError(message, code));
  }
}

/** The call that a request belongs to. */
export function callOf({ contextValues }: UnaryRequest): GrpcCall {
  const call = contextValues.get(callKey);
  if (call === undefined) throw new Error("this request came in some other way");
  return call;
}

const callKey = createContextKey<GrpcCall | undefined>(undefined, { description: "the call on the grpc-js server" });

/** The address of `127.0.0.1:5000` or `[::1]:5000`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** Without what belongs to the transport and what is not text. */
function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}
