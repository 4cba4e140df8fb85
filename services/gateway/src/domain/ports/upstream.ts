import type { ChatRequest } from "../request/chat-request.ts";
import type { TokenBounds } from "../request/token-bounds.ts";

/** What speaks to a provider. The metering sees all of them alike: bytes of JSON, or of server-sent events. */
export interface Upstream {
  /** The most tokens that it will count for this request. */
  boundTokens(request: ChatRequest): TokenBounds | Promise<TokenBounds>;
  /**
   * Sends a chat completion and resolves with the head of the answer, whatever its status.
   *
   * @throws UpstreamFault if there is no answer; the body throws one if it breaks off
   */
  chatCompletion(request: UpstreamRequest): Promise<UpstreamAnswer>;
  close(): Promise<void>;
}

export interface UpstreamRequest {
  readonly body: string | Uint8Array;
  readonly streamed: boolean;
  /** Aborted when nobody wants the answer any more: the connection is destroyed, not reused. */
  readonly signal: AbortSignal;
}

export interface UpstreamAnswer {
  readonly status: number;
  /** Lower case, without parameters; empty if there was none. */
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** Nobody reads the rest: ends it, unless it has ended. */
  discard(): void;
}

export class UpstreamFault extends Error {
  override readonly name = "UpstreamFault";
  readonly kind: UpstreamFaultKind;

  constructor(kind: UpstreamFaultKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }

  /** Whether the upstream may have the request: then it may have worked, and bill for it, whatever came back. */
  get isSent(): boolean {
    return this.kind === "timeout" || this.kind === "broken";
  }
}

/**
 * `unreachable` and `connect_timeout`: no byte of the request has left, because there was no connection for it. `timeout`:
 * it was sent, and then nothing came for too long. `broken`: anything else that happened after it was sent.
 */
export type UpstreamFaultKind = "unreachable" | "connect_timeout" | "timeout" | "broken";
