import { type Dispatcher, errors, Pool } from "undici";
import { boundTokens } from "../domain/request/token-bounds.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault, type UpstreamRequest } from "../domain/ports/upstream.ts";

export interface OpenAiUpstreamOptions {
  /** Address, e.g. `https://api.openai.com/v1`; never from a request. */
  readonly baseUrl: URL;
  /** Key that is sent as `Authorization: Bearer`; undefined for an upstream without one. */
  readonly apiKey: string | undefined;
  readonly timeouts?: Partial<UpstreamTimeouts>;
}

export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** Longest wait for the head of the answer: a model that does not stream may think for minutes. */
  readonly headersMs: number;
  /** Longest pause between two pieces of the body. */
  readonly idleMs: number;
}

const TIMEOUTS: UpstreamTimeouts = { connectMs: 5_000, headersMs: 300_000, idleMs: 120_000 };

/**
 * Upstream that speaks the OpenAI API. Connections are pooled and kept alive. Redirects are not followed, because the operator
 * named this address and no other. None of the client's headers is passed on.
 */
export function createOpenAiUpstream({ baseUrl, apiKey, timeouts }: OpenAiUpstreamOptions): Upstream {
  const { connectMs, headersMs, idleMs } = { ...TIMEOUTS, ...timeouts };
  const pool = new Pool(baseUrl.origin, {
    connect: { timeout: connectMs },
    headersTimeout: headersMs,
    bodyTimeout: idleMs,
    keepAliveTimeout: 30_000,
  });
  const path = `${baseUrl.pathname.replace(/\/+$/, "")}/chat/completions`;
  const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  return {
    boundTokens,
    async chatCompletion({ body, streamed, signal }: UpstreamRequest) {
      const accept = streamed ? "text/event-stream" : "application/json";
      const headers = { "content-type": "application/json", accept, "user-agent": "routeplane", ...authorization };
      let isSent = false;
      try {
        const request = { method: "POST" as const, path, headers, body, signal };
        return toAnswer(await withSentHook(pool, () => (isSent = true)).request(request));
      } catch (error) {
        throw isSent ? toFault(error) : toConnectionFault(error);
      }
    },
    close: () => pool.destroy(),
  };
}

/** @param onSent called when a request is about to be written to an open connection */
function withSentHook(pool: Pool, onSent: () => void): Dispatcher {
  return pool.compose((dispatch) => (options, handler) => {
    const start = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      start?.(controller, context);
      // A request that was cancelled while it waited for its connection is not written.
      if (!controller.aborted) onSent();
    };
    return dispatch(options, handler);
  });
}

function toAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): UpstreamAnswer {
  // Destroying a body that nobody reads emits an error, which would end the process without a listener.
  body.on("error", () => {});
  const encoding = headers["content-encoding"] ?? "identity";
  const isReadable = encoding === "identity";
  if (!isReadable) body.destroy();
  if (!isReadable && statusCode >= 200 && statusCode <= 299) {
    throw new UpstreamFault("broken", "an answer with a content-encoding that was not asked for");
  }
  const contentType = String(headers["content-type"] ?? "");
  return {
    status: statusCode,
    contentType: (contentType.split(";")[0] ?? "").trim().toLowerCase(),
    retryAfter: headers["retry-after"] === undefined ? undefined : String(headers["retry-after"]),
    // The body of an error is only quoted: a refusal can be made from the status alone.
    body: isReadable ? bytesOf(body) : noBytes(),
    discard: () => void (body.readableEnded || body.destroy()),
  };
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

async function* bytesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw toFault(error);
  }
}

/** Converts an error of the HTTP client after the request was sent. */
function toFault(error: unknown): UpstreamFault {
  if (error instanceof UpstreamFault) return error;
  const isLate = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
  if (isLate) return new UpstreamFault("timeout", "the upstream took too long", error);
  return new UpstreamFault("broken", "the connection to the upstream broke", error);
}

/** Converts an error of the HTTP client while the request waited for a connection. */
function toConnectionFault(error: unknown): UpstreamFault {
  const isLate = error instanceof errors.ConnectTimeoutError;
  return new UpstreamFault(isLate ? "connect_timeout" : "unreachable", "the upstream cannot be reached", error);
}
