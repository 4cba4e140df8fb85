import { Readable } from "node:stream";
import { upstreamRetryAfter } from "../domain/errors/retry-after.ts";
import { boundTokens } from "../domain/request/token-bounds.ts";
import { type Connections, openConnections } from "./connections.ts";
import { codingsOf, decode } from "./content-decoding.ts";
import { type HttpAnswer, sendHttpCall } from "./http-call.ts";
import type { Proxy } from "./proxy.ts";
import type { WireName } from "../domain/wires/wire-name.ts";
import { type Upstream, type UpstreamAnswer, UpstreamFault, type UpstreamRequest } from "../domain/ports/upstream.ts";

/** Address, key and settings of an upstream. */
export interface HttpUpstreamOptions {
  /** Address, e.g. `https://api.openai.com/v1`; never from a request. */
  readonly baseUrl: URL;
  /** Key of the operator; undefined for an upstream without one. */
  readonly apiKey: string | undefined;
  /** Header that carries the key, in lower case. In `authorization`, the default, it is sent as `Bearer`. */
  readonly apiKeyHeader?: string;
  /** Proxy on the way to it; undefined for none. */
  readonly proxy?: Proxy | undefined;
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

/** Time-outs of a call; those of an answer are by default the SDKs' own. */
export interface UpstreamTimeouts {
  /** 5 s by default. */
  readonly connectMs?: number | undefined;
  /** Longest wait for the head of the answer, 10 min by default: a model that does not stream may think for minutes. */
  readonly headMs?: number | undefined;
  /** Longest pause between two pieces of the body, 10 min by default. */
  readonly idleMs?: number | undefined;
}

const CONNECT_MS = 5_000;
const ANSWER_MS = 600_000;
const PROXY_AUTHENTICATION_REQUIRED = 407;
const NO_SETTINGS: CallOptions = { headers: {}, query: "", timeouts: {} };

/**
 * Upstream over HTTP, of any wire. Connections are pooled and kept alive. Redirects are not followed, because the operator named this
 * address and no other. Only those headers of the client are passed on that a request names.
 */
export function createHttpUpstream(options: HttpUpstreamOptions): Upstream {
  const { baseUrl, proxy, call: shared = NO_SETTINGS, callOf = new Map<string, CallOptions>() } = options;
  const timeouts = [shared, ...callOf.values()].map(connectMsOf);
  const connections = new Map([...new Set(timeouts)].map((ms) => [ms, openConnections(baseUrl, proxy, ms)]));
  const prepare = (call: CallOptions) => prepareCall(options, call, connections);
  const sharedCall = prepare(shared);
  const ownCalls = new Map([...callOf].map(([model, call]) => [model, prepare(call)]));
  return {
    boundTokens,
    async send({ wire, model, body, headers: ofClient, streamed, signal }: UpstreamRequest) {
      const prepared = ownCalls.get(model) ?? sharedCall;
      const { pool, isForwarded, paths, headersTimeout, bodyTimeout } = prepared;
      const isOnePiece = typeof body === "string" || body instanceof Uint8Array;
      const operators = streamed ? prepared.streamHeaders : prepared.headers;
      const own = ofClient === undefined ? operators : withHeaders(operators, ofClient);
      const { headers, body: sent } = isOnePiece ? { headers: own, body } : inPieces(own, body);
      const answer = await sendHttpCall(
        pool,
        { method: "POST", path: paths[wire], headersTimeout, bodyTimeout, headers, body: sent },
        { signal, isReadWhole: !streamed },
      );
      if (isForwarded && answer.status === PROXY_AUTHENTICATION_REQUIRED) {
        answer.discard();
        throw new UpstreamFault("unreachable", "the proxy refuses its credentials");
      }
      return toAnswer(answer);
    },
    async close() {
      await Promise.all([...connections.values()].map(({ pool }) => pool.destroy()));
    },
  };
}

function connectMsOf({ timeouts }: Pick<CallOptions, "timeouts">): number {
  return timeouts.connectMs ?? CONNECT_MS;
}

/** Adds headers to a list of names and values, in the place of those of the same name. */
function withHeaders(headers: readonly string[], added: Readonly<Record<string, string>>): string[] {
  const kept = headers.flatMap((name, index) =>
    index % 2 === 0 && !Object.hasOwn(added, name) ? [name, headers[index + 1] ?? ""] : [],
  );
  return [...kept, ...Object.entries(added).flat()];
}

/** Headers and body of a request in pieces: a stream, whose length the HTTP client does not know. */
function inPieces(headers: readonly string[], body: readonly Uint8Array[]) {
  const length = body.reduce((sum, piece) => sum + piece.length, 0);
  return {
    headers: [...headers, "content-length", String(length)],
    body: Readable.from(body, { objectMode: false }),
  };
}

/** Prepares the parts of a call that are the same for every request. */
function prepareCall(
  { baseUrl, apiKey, apiKeyHeader = "authorization" }: HttpUpstreamOptions,
  { headers, query, timeouts }: CallOptions,
  connections: ReadonlyMap<number, Connections>,
) {
  const opened = connections.get(connectMsOf({ timeouts }));
  if (opened === undefined) throw new Error("there is no pool with this time limit of a connection");
  const { pool, isForwarded, headers: hopHeaders } = opened;
  const origin = isForwarded ? baseUrl.origin : "";
  const pathOf = (path: string): string =>
    `${origin}${baseUrl.pathname.replace(/\/+$/, "")}${path}${query === "" ? "" : `?${query}`}`;
  const key = apiKeyHeader === "authorization" ? `Bearer ${apiKey}` : apiKey;
  const allHeaders = {
    "user-agent": "routeplane",
    ...headers,
    "content-type": "application/json",
    "accept-encoding": "identity",
    ...(key === undefined || apiKey === undefined ? {} : { [apiKeyHeader]: key }),
    ...hopHeaders,
  };
  const headersWith = (accept: string): string[] => Object.entries({ ...allHeaders, accept }).flat();
  return {
    pool,
    isForwarded,
    paths: {
      chat: pathOf("/chat/completions"),
      responses: pathOf("/responses"),
      messages: pathOf("/messages"),
      count_tokens: pathOf("/messages/count_tokens"),
      embeddings: pathOf("/embeddings"),
    } satisfies Record<WireName, string>,
    headersTimeout: timeouts.headMs ?? ANSWER_MS,
    bodyTimeout: timeouts.idleMs ?? ANSWER_MS,
    headers: headersWith("application/json"),
    streamHeaders: headersWith("text/event-stream"),
  };
}

/** @throws UpstreamFault if the answer cannot be read; that of an error can be refused by its status alone */
function toAnswer(answer: HttpAnswer): UpstreamAnswer {
  const { status, headers, body } = answer;
  const codings = codingsOf(headers["content-encoding"]);
  if (codings === undefined) {
    answer.discard();
    if (status >= 200 && status <= 299) throw unknownEncoding(headers["content-encoding"]);
  }
  const whole = codings?.length === 0 ? wholeObjectOf(answer) : undefined;
  return {
    status,
    contentType: mediaTypeOf(String(headers["content-type"] ?? "")),
    retryAfter: upstreamRetryAfter((name) => headerOf(headers, name)),
    requestId: requestIdOf(headers),
    body: codings === undefined ? noBytes() : whole === undefined ? decode(body, codings) : body,
    whole,
    discard: () => answer.discard(),
  };
}

/** Media type of a header, without its parameters and in lower case. */
function mediaTypeOf(contentType: string): string {
  const end = contentType.indexOf(";");
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** Bytes of a JSON object that has arrived whole. Those that are encoded without a label begin otherwise. */
function wholeObjectOf({ whole }: HttpAnswer): Buffer | undefined {
  return whole?.[0] === OPENING_BRACE ? whole : undefined;
}

const OPENING_BRACE = 0x7b;

function unknownEncoding(contentEncoding: unknown): UpstreamFault {
  const shown = JSON.stringify(String(contentEncoding).slice(0, 60));
  return new UpstreamFault(
    "invalid",
    `the upstream answered with the content encoding ${shown}, which is not supported`,
  );
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

function requestIdOf(headers: HttpAnswer["headers"]): string | undefined {
  for (const name of REQUEST_ID_HEADERS) {
    const id = headerOf(headers, name);
    if (id !== undefined && REQUEST_ID.test(id)) return id;
  }
  return undefined;
}

/** First value of a header, whose name is in lower case. */
function headerOf(headers: HttpAnswer["headers"], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
