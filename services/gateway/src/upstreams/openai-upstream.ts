import { type Dispatcher, errors, Pool } from "undici";
import { boundTokens } from "../domain/request/token-bounds.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault, type UpstreamRequest } from "../domain/ports/upstream.ts";

export interface OpenAiUpstreamOptions {
  /** From the operator's configuration only, e.g. `https://api.openai.com/v1`. */
  readonly baseUrl: URL;
  /** Sent as `Authorization: Bearer`; undefined for an upstream that wants none. */
  readonly apiKey: string | undefined;
  readonly timeouts?: Partial<UpstreamTimeouts>;
}

export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** Until the head of the answer: a model that does not stream may think for minutes. */
  readonly headersMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
}

const TIMEOUTS: UpstreamTimeouts = { connectMs: 5_000, headersMs: 300_000, idleMs: 120_000 };

/**
 * An upstream that speaks the OpenAI API. Connections are pooled and kept; redirects are not followed, because the operator
 * named this address and no other; of the client's headers none is passed on.
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
        return toAnswer(await telling(pool, () => (isSent = true)).request(request));
      } catch (error) {
        throw isSent ? toFault(error) : toFaultOfConnection(error);
      }
    },
    close: () => pool.destroy(),
  };
}

/** @param onSent called once a request is about to be written to a connection that stands */
function telling(pool: Pool, onSent: () => void): Dispatcher {
  return pool.compose((dispatch) => (options, handler) => {
    const start = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      start?.(controller, context);
      // One that was cut while it waited for its connection is not written.
      if (!controller.aborted) onSent();
    };
    return dispatch(options, handler);
  });
}

function toAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): UpstreamAnswer {
  // Destroying a body that nobody reads is reported to whoever listens; nobody else must hear of it.
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
    // A refusal is one by its status alone.
    body: isReadable ? bytesOf(body) : nothing(),
    discard: () => void (body.readableEnded || body.destroy()),
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* bytesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw toFault(error);
  }
}

/** Of a request that was sent. Drivers' errors stay here. */
function toFault(error: unknown): UpstreamFault {
  if (error instanceof UpstreamFault) return error;
  const isLate = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
  if (isLate) return new UpstreamFault("timeout", "the upstream took too long", error);
  return new UpstreamFault("broken", "the connection to the upstream broke", error);
}

/** Of a request that waited for a connection. */
function toFaultOfConnection(error: unknown): UpstreamFault {
  const isLate = error instanceof errors.ConnectTimeoutError;
  return new UpstreamFault(isLate ? "connect_timeout" : "unreachable", "the upstream cannot be reached", error);
}
