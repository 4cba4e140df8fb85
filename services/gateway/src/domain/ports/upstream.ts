import type { InferenceRequest } from "../request/inference-request.ts";
import type { BoundedModel, TokenBounds } from "../request/token-bounds.ts";
import type { WireName } from "../wires/wire-name.ts";
import type { MeteredUsage } from "../metering/answer-meter.ts";
import type { CancelSignal } from "./cancel-signal.ts";

/** Adapter to the HTTP API of a provider. Every answer is JSON of the wire of its request, or server-sent events of such JSON. */
export interface Upstream {
  /** Upper bounds of the tokens that the provider will count for a request to this model. */
  boundTokens(request: InferenceRequest, model: BoundedModel): TokenBounds | Promise<TokenBounds>;
  /**
   * Sends a request. Resolves with the head of the answer, whatever its status.
   *
   * @throws UpstreamFault if there is no answer; the body throws one if it breaks off
   */
  send(request: UpstreamRequest): Promise<UpstreamAnswer>;
  close(): Promise<void>;
}

/** Body of a request: a text, its bytes, or the pieces of them. */
export type UpstreamBody = string | Uint8Array | readonly Uint8Array[];

/** Request as it is sent. */
export interface UpstreamRequest {
  /** Wire that the body is in. */
  readonly wire: WireName;
  /** Id of the model at the provider. */
  readonly model: string;
  readonly body: UpstreamBody;
  /** Headers of the client, by name in lower case, in the place of the operator's of that name; none if undefined. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly streamed: boolean;
  /** Aborted when the request is cancelled: the connection is then destroyed, not reused. */
  readonly signal: CancelSignal;
}

/** Answer of an upstream, whose body is still to be read. */
export interface UpstreamAnswer {
  readonly status: number;
  /** Media type in lower case, without parameters; empty if there was none. */
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  /** Id by which the provider finds the request in its own logs, printable; undefined if it names none. */
  readonly requestId: string | undefined;
  /** Members of the client's body that were left out on the way, because the client loses nothing by it; none if undefined. */
  readonly dropped?: readonly string[] | undefined;
  /**
   * Returns the metering of what was read of a translated answer, by the upstream's own wire; undefined if nothing was read. Undefined
   * if the answer is not translated.
   */
  readonly metered?: (() => MeteredTranslated | undefined) | undefined;
  /**
   * Error that the answer begins with although its status is one of success, so that the upstream has not worked for the request;
   * undefined if it has none, or none was looked for.
   */
  readonly failure?: AnswerFailure | undefined;
  /** True if the gateway answers in place of an upstream, so that the answer is no evidence about its health; false if undefined. */
  readonly isLocal?: boolean | undefined;
  /** Bytes of the body, without any content encoding. */
  readonly body: AsyncIterable<Uint8Array>;
  /** All bytes of the body, if it is a JSON object that has arrived whole: it then need not be read piece by piece. */
  readonly whole?: Buffer | undefined;
  /** Ends the body unread, unless it has ended. */
  discard(): void;
}

/** Metering of a translated answer. */
export interface MeteredTranslated extends MeteredUsage {
  /** True if a whole answer says that it failed: the client's wire may have no word for that. */
  readonly hasFailed: boolean;
}

/** Error in the place of an answer. */
export interface AnswerFailure {
  /** HTTP status that its words stand for. */
  readonly status: number;
  /** Wait that its words ask for; undefined if they ask for none. */
  readonly retryAfterMs: number | undefined;
}

/** Fault of a call to an upstream, or of its answer. */
export class UpstreamFault extends Error {
  override readonly name = "UpstreamFault";
  readonly kind: UpstreamFaultKind;

  constructor(kind: UpstreamFaultKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }

  /** True if the upstream may have got the request: it may have worked and bill for it, whatever it answered. */
  get isSent(): boolean {
    return this.kind !== "unreachable" && this.kind !== "connect_timeout";
  }
}

/**
 * Kind of a fault. `unreachable`, `connect_timeout`: there was no connection, so no byte of the request was sent. `timeout`: the
 * request was sent, and nothing arrived for too long. `invalid`: an answer arrived that cannot be read; the message is for the
 * client. `broken`: any other fault after it was sent.
 */
export type UpstreamFaultKind = "unreachable" | "connect_timeout" | "timeout" | "invalid" | "broken";
