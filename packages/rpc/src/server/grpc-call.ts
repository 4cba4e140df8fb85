import type { DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { UnaryRequest, UnaryResponse } from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall } from "@grpc/grpc-js";
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
  readonly responseTrailer = new Headers();
  readonly #controller = new AbortController();
  readonly #deadline: number;
  readonly #timer: NodeJS.Timeout;

  constructor(method: DescMethodUnary, call: ServerUnaryCall<unknown, unknown>) {
    this.method = method;
    this.requestHeader = toHeaders(call.metadata);
    const now = Date.now();
    this.#deadline = Math.min(Number(call.getDeadline()), now + LIMITS.maxTimeoutMs);
    this.#timer = setTimeout(() => this.#abort("the deadline has passed", Code.DeadlineExceeded), this.#deadline - now);
    call.once("cancelled", () => this.#abort("cancelled", Code.Canceled));
  }

  get service() {
    return this.method.parent;
  }

  get url(): string {
    return `http://grpc/${this.method.parent.typeName}/${this.method.name}`;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  timeoutMs = (): number => this.#deadline - Date.now();

  toRequest(message: Message): UnaryRequest {
    const { method, service, url, requestMethod, requestHeader: header, signal, values: contextValues } = this;
    return { stream: false, method, service, url, requestMethod, header, signal, contextValues, message };
  }

  toResponse(message: Message): UnaryResponse {
    const { method, service, responseHeader: header, responseTrailer: trailer } = this;
    return { stream: false, method, service, header, trailer, message };
  }

  /** To be called when the answer is known. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #abort(message: string, code: Code): void {
    clearTimeout(this.#timer);
    this.#controller.abort(new ConnectError(message, code));
  }
}

/** Without what belongs to the transport and what is not text. */
function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") headers.set(name, value);
  }
  return headers;
}
