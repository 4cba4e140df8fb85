import { CHAT } from "../domain/wires/chat/chat-wire.ts";
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

/** Routes that reach an upstream. */
export function inferenceRoutes(dependencies: InferenceDependencies): readonly Route[] {
  return [inferenceRoute("/v1/chat/completions", CHAT, dependencies)];
}

/** Declares a route that reaches an upstream, through the pipeline, which governs it by its wire. */
function inferenceRoute(path: string, wire: Wire, { serve, maxRequestBytes }: InferenceDependencies): Route {
  return {
    method: "POST",
    path,
    reaches: "upstream",
    errors: wire.errors,
    handle: (exchange) => serve(toInferenceCall(exchange, wire, maxRequestBytes)),
  };
}

function toInferenceCall(exchange: Exchange, wire: Wire, maxBytes: number): InferenceCall {
  const { requestId, createdAt, path, request, reply } = exchange;
  return {
    requestId,
    createdAt,
    endpoint: path,
    wire,
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

function unsupportedEncoding(): Refusal {
  const message = "a compressed request body is not supported: send it without content-encoding";
  return new Refusal("unsupported_encoding", message);
}
