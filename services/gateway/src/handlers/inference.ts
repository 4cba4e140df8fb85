import { CHAT } from "../domain/wires/chat/chat-wire.ts";
import { EMBEDDINGS } from "../domain/wires/embeddings/embeddings-wire.ts";
import { COUNT_TOKENS } from "../domain/wires/messages/count-tokens-wire.ts";
import { MESSAGES } from "../domain/wires/messages/messages-wire.ts";
import { RESPONSES } from "../domain/wires/responses/responses-wire.ts";
import type { Wire } from "../domain/wires/wire.ts";
import type { InferenceCall, Serve } from "../domain/pipeline.ts";
import { Refusal } from "../domain/errors/refusal.ts";
import { credentialHeadersOf, joinedHeader } from "./credential-headers.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";

export interface InferenceDependencies {
  /** The pipeline, which is the only way to an upstream. */
  readonly serve: Serve;
  /** Bound of the body of a request. */
  readonly maxRequestBytes: number;
}

/** Paths that reach an upstream, each with the wire by which it is governed. */
export const INFERENCE_ROUTES: readonly { readonly path: string; readonly wire: Wire }[] = [
  { path: "/v1/chat/completions", wire: CHAT },
  { path: "/v1/responses", wire: RESPONSES },
  { path: "/v1/messages", wire: MESSAGES },
  { path: "/v1/messages/count_tokens", wire: COUNT_TOKENS },
  { path: "/v1/embeddings", wire: EMBEDDINGS },
];

/** Routes that reach an upstream. */
export function inferenceRoutes(dependencies: InferenceDependencies): readonly Route[] {
  return INFERENCE_ROUTES.map(({ path, wire }) => inferenceRoute(path, wire, dependencies));
}

/** Declares a route that reaches an upstream, through the pipeline, which governs it by its wire. */
function inferenceRoute(path: string, wire: Wire, { serve, maxRequestBytes }: InferenceDependencies): Route {
  return {
    method: "POST",
    path,
    reaches: "upstream",
    errors: wire.errors,
    handle(exchange) {
      // Anthropic's clients look for the id of a request there.
      if (isAnthropic(wire)) exchange.response.setHeader("request-id", exchange.requestId);
      return serve(toInferenceCall(exchange, wire, maxRequestBytes));
    },
  };
}

function toInferenceCall(exchange: Exchange, wire: Wire, maxBytes: number): InferenceCall {
  const { requestId, createdAt, path, request, reply } = exchange;
  return {
    requestId,
    createdAt,
    endpoint: path,
    wire,
    forwardedHeaders: isAnthropic(wire) ? anthropicHeaders(exchange) : undefined,
    credential: credentialHeadersOf(exchange),
    idempotencyKey: joinedHeader(request.headers["idempotency-key"]),
    readBody: async ({ namespaceId, keyId }) => {
      const encoding = request.headers["content-encoding"];
      if (encoding !== undefined && encoding !== "identity") throw unsupportedEncoding();
      const turn = exchange.takePlace(namespaceId);
      if (turn !== undefined) await turn;
      return exchange.readBody(maxBytes, [namespaceId, keyId], true);
    },
    reply,
  };
}

function isAnthropic({ name }: Wire): boolean {
  return name === "messages" || name === "count_tokens";
}

/** Headers by which Anthropic's clients choose a version and its betas. */
function anthropicHeaders({ request }: Exchange): Readonly<Record<string, string>> {
  const { "anthropic-version": version, "anthropic-beta": beta } = request.headers;
  return {
    ...(version !== undefined && { "anthropic-version": joinedHeader(version) ?? "" }),
    ...(beta !== undefined && { "anthropic-beta": joinedHeader(beta) ?? "" }),
  };
}

function unsupportedEncoding(): Refusal {
  const message = "a compressed request body is not supported: send it without content-encoding";
  return new Refusal("unsupported_encoding", message);
}
