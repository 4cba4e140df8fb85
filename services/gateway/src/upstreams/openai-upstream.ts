import { type Dispatcher, errors, Pool } from "undici";
import { boundTokens } from "../domain/request/token-bounds.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault, type UpstreamRequest } from "../domain/ports/upstream.ts";

export interface OpenAiUpstreamOptions {
  /** Address, e.g. `https://api.openai.com/v1`; never from a request. */
  readonly baseUrl: URL;
  /** Key of the operator; undefined for an upstream without one. */
  readonly apiKey: string | undefined;
  /** Header that carries the key, in lower case. In `authorization`, the default, it is sent as `Bearer`. */
  readonly apiKeyHeader?: string;
  readonly call?: CallOptions;
  /** Settings of the models that have their own, by model id. */
  readonly callOf?: ReadonlyMap<string, CallOptions>;
}

/** Settings of a call. */
export interface CallOptions {
  /** Headers of the operator, by name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Query without its question mark; empty for none. */
  readonly query: string;
  readonly timeouts: UpstreamTimeouts;
}

export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** Longest wait for the head of the answer: a model that does not stream may think for minutes. */
  readonly headMs: number;
  /** Longest pause between two pieces of the body. */
  readonly idleMs: number;
}

/** Time-outs by default. Those of an answer are the SDKs' own. */
export const TIMEOUTS: UpstreamTimeouts = { connectMs: 5_000, headMs: 600_000, idleMs: 600_000 };

const NO_SETTINGS: CallOptions = { headers: {}, query: "", timeouts: TIMEOUTS };

/**
 * Upstream that speaks the OpenAI API. Connections are pooled and kept alive. Redirects are not followed, because the operator
 * named this address and no other. None of the client's headers is passed on.
 */
export function createOpenAiUpstream(options: OpenAiUpstreamOptions): Upstream {
  const { baseUrl, call: shared = NO_SETTINGS, callOf = new Map<string, CallOptions>() } = options;
  const pools = new Map<number, Pool>();
  const connectTimeouts = [shared, ...callOf.values()].map(({ timeouts }) => timeouts.connectMs);
  for (const timeout of new Set(connectTimeouts)) {
    pools.set(timeout, new Pool(baseUrl.origin, { connect: { timeout }, keepAliveTimeout: 30_000 }));
  }
  const prepare = (call: CallOptions) => prepareCall(options, call, pools);
  const sharedCall = prepare(shared);
  const ownCalls = new Map([...callOf].map(([model, call]) => [model, prepare(call)]));
  return {
    boundTokens,
    async chatCompletion({ model, body, streamed, signal }: UpstreamRequest) {
      const { pool, request, headers } = ownCalls.get(model) ?? sharedCall;
      const accept = streamed ? "text/event-stream" : "application/json";
      let isSent = false;
      try {
        const dispatcher = withSentHook(pool, () => (isSent = true));
        return toAnswer(await dispatcher.request({ ...request, headers: { ...headers, accept }, body, signal }));
      } catch (error) {
        throw isSent ? toFault(error) : toConnectionFault(error);
      }
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

/** Prepares the parts of a call that are the same for every request. */
function prepareCall(
  { baseUrl, apiKey, apiKeyHeader = "authorization" }: OpenAiUpstreamOptions,
  { headers, query, timeouts }: CallOptions,
  pools: ReadonlyMap<number, Pool>,
) {
  const pool = pools.get(timeouts.connectMs);
  if (pool === undefined) throw new Error(`no pool connects within ${timeouts.connectMs} ms`);
  const path = `${baseUrl.pathname.replace(/\/+$/, "")}/chat/completions${query === "" ? "" : `?${query}`}`;
  const key = apiKeyHeader === "authorization" ? `Bearer ${apiKey}` : apiKey;
  return {
    pool,
    request: { method: "POST", path, headersTimeout: timeouts.headMs, bodyTimeout: timeouts.idleMs } as const,
    headers: {
      "user-agent": "routeplane",
      ...headers,
      "content-type": "application/json",
      ...(key === undefined || apiKey === undefined ? {} : { [apiKeyHeader]: key }),
    },
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
    requestId: requestIdOf(headers),
    // The body of an error is only quoted: a refusal can be made from the status alone.
    body: isReadable ? bytesOf(body) : noBytes(),
    discard: () => void (body.readableEnded || body.destroy()),
  };
}

/** Headers in which providers name a request, the more telling ones first. */
const REQUEST_ID_HEADERS = [
  "x-request-id",
  "request-id",
  "apim-request-id",
  "x-ms-request-id",
  "x-goog-request-id",
  "x-amzn-requestid",
];
const REQUEST_ID = /^[\x21-\x7e]{1,200}$/;

function requestIdOf(headers: Dispatcher.ResponseData["headers"]): string | undefined {
  const ids = REQUEST_ID_HEADERS.map((name) => [headers[name]].flat()[0]);
  return ids.find((id) => id !== undefined && REQUEST_ID.test(id));
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
