/**
 * Unary calls of the Connect protocol (https://connectrpc.com/docs/protocol), in binary and without compression, each over a
 * stream of HTTP/2. The library's client wraps even a call of two small messages in signals and async iterables; it is used for calls with
 * streams.
 */
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes, validateResponse } from "@connectrpc/connect/protocol-connect";
import type { ServiceAddress } from "./service-address.ts";

export interface UnaryCallOptions {
  /** Headers by name in lower case, in addition to those of the protocol. */
  readonly headers: Readonly<Record<string, string>>;
  /** Deadline in milliseconds, connecting included; sent with the call. None if undefined. */
  readonly timeoutMs: number | undefined;
  /** Signals that end the call with CANCELLED. */
  readonly signals: readonly (AbortSignal | undefined)[];
}

export interface UnaryResult<O extends DescMessage> {
  readonly message: MessageShape<O>;
  readonly headers: IncomingHttpHeaders;
}

/** Bound of a message that is received. */
export const MAX_MESSAGE_BYTES = 4 << 20;

const CONTENT_TYPE = "application/proto";

/**
 * Makes a unary call.
 *
 * @throws ConnectError as the service returned it; CANCELLED, DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED for a response above 4 MiB;
 * UNAVAILABLE if the stream ended without a response, with the name of the HTTP/2 error in the message
 */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  address: ServiceAddress,
  method: DescMethodUnary<I, O>,
  input: MessageInitShape<I>,
  { headers, timeoutMs, signals }: UnaryCallOptions,
): Promise<UnaryResult<O>> {
  const message = toBinary(method.input, create(method.input, input));
  const exchange = new Exchange(timeoutMs, signals);
  const ofProtocol = { "content-type": CONTENT_TYPE, "connect-protocol-version": "1" };
  const ofDeadline = timeoutMs === undefined ? {} : { "connect-timeout-ms": String(timeoutMs) };
  address
    .request("POST", `/${method.parent.typeName}/${method.name}`, { ...headers, ...ofProtocol, ...ofDeadline })
    .then(
      (stream) => exchange.run(stream, message),
      (error: unknown) => exchange.fail(ConnectError.from(error, Code.Unavailable)),
    );
  const response = await exchange.response;
  requireMessage(response);
  try {
    return { message: fromBinary(method.output, response.body), headers: response.headers };
  } catch (error) {
    throw new ConnectError("the response is not a message of the method", Code.Internal, undefined, undefined, error);
  }
}

interface Response {
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly body: Uint8Array;
}

/** Converts the headers of a response to those of the Fetch API. */
export function toHeaders(headers: IncomingHttpHeaders): Headers {
  const converted = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) converted.append(name, each);
  }
  return converted;
}

/** @throws ConnectError if the response is not a message: that of its body, or one by its status */
function requireMessage({ headers, body }: Response): void {
  const status = headers[":status"] ?? 0;
  if (status === 200 && headers["content-type"] === CONTENT_TYPE) return;
  const converted = toHeaders(headers);
  const { isUnaryError, unaryError } = validateResponse("unary", true, status, converted);
  if (isUnaryError) throw errorFromJsonBytes(body, converted, unaryError);
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size);
}

/** Request and response over one stream, which end together. */
class Exchange {
  readonly response: Promise<Response>;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: ConnectError) => void;
  readonly #signals: readonly (AbortSignal | undefined)[];
  readonly #timer: NodeJS.Timeout | undefined;
  #stream: ClientHttp2Stream | undefined;
  #isOver = false;

  constructor(timeoutMs: number | undefined, signals: readonly (AbortSignal | undefined)[]) {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signals = signals;
    if (timeoutMs !== undefined) this.#timer = setTimeout(this.#onLate, timeoutMs);
    for (const signal of signals) {
      if (signal?.aborted === true) this.#onAbort({ target: signal });
      else signal?.addEventListener("abort", this.#onAbort);
    }
  }

  /** Sends the message, and reads the response. */
  run(stream: ClientHttp2Stream, message: Uint8Array): void {
    if (this.#isOver) {
      stream.close(constants.NGHTTP2_CANCEL);
      return;
    }
    this.#stream = stream;
    let headers: Response["headers"] = {};
    let fault: Error | undefined;
    let size = 0;
    const chunks: Uint8Array[] = [];
    stream.on("response", (received) => (headers = received));
    stream.on("data", (chunk: Uint8Array) => {
      if (this.#isOver) return;
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_MESSAGE_BYTES) this.fail(new ConnectError("the response is too large", Code.ResourceExhausted));
    });
    stream.on("error", (error) => (fault = error));
    // Not "end", which is also emitted for a stream that is reset within its response.
    stream.on("close", () => {
      const { rstCode } = stream;
      if (rstCode === constants.NGHTTP2_NO_ERROR && fault === undefined) {
        return this.#finish(() => this.#resolve({ headers, body: joined(chunks, size) }));
      }
      const code = rstCode === constants.NGHTTP2_CANCEL ? Code.Canceled : Code.Unavailable;
      const reason = fault?.message ?? `the stream was closed with code ${rstCode}`;
      this.fail(new ConnectError(reason, code, undefined, undefined, fault));
    });
    stream.end(message);
  }

  /** Ends the exchange, unless it has ended. @param resetCode HTTP/2 error code for the service */
  fail(error: ConnectError, resetCode: number = constants.NGHTTP2_CANCEL): void {
    this.#finish(() => {
      this.#reject(error);
      if (this.#stream?.closed === false) this.#stream.close(resetCode);
    });
  }

  #finish(act: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const signal of this.#signals) signal?.removeEventListener("abort", this.#onAbort);
    act();
  }

  readonly #onAbort = ({ target }: Pick<Event, "target">): void => {
    const reason: unknown = target instanceof AbortSignal ? target.reason : undefined;
    this.fail(ConnectError.from(reason, Code.Canceled));
  };

  /** A call without a response counts against its session, a cancelled one does not: their codes differ. */
  readonly #onLate = (): void => {
    this.fail(new ConnectError("the call took too long", Code.DeadlineExceeded), constants.NGHTTP2_INTERNAL_ERROR);
  };
}
