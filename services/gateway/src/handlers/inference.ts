import { authenticate, authorise, type CredentialHeaders, INFERENCE_SCOPE } from "../domain/request/credential.ts";
import { judgeModel } from "@routeplane/guardrails";
import type { GuardOf } from "../domain/guardrails/guard.ts";
import type { ProviderSet, ServedProviders } from "../domain/provider-set.ts";
import type { Model } from "../domain/request/model-directory.ts";
import { modelAt, resolveModel } from "../domain/request/model-directory.ts";
import type { InferenceCall, Serve } from "../domain/pipeline.ts";
import type { VerifyKey } from "../domain/ports/key-verifier.ts";
import { modelNotFound, Refusal } from "../domain/errors/refusal.ts";
import type { Exchange } from "./exchange.ts";
import { isRepeated } from "./request-head.ts";
import type { Route } from "./router.ts";

export interface InferenceDependencies {
  /** The pipeline, which is the only way to an upstream. */
  readonly serve: Serve;
  readonly verifyKey: VerifyKey;
  readonly guardOf: GuardOf;
  readonly providers: ServedProviders;
  /** Bound of the body of a request. */
  readonly maxRequestBytes: number;
}

/** Routes of the OpenAI-compatible API. */
export function inferenceRoutes(dependencies: InferenceDependencies): readonly Route[] {
  const { serve, verifyKey, guardOf, providers, maxRequestBytes } = dependencies;
  /** Returns a predicate of the models that the key may call. */
  const allowedModels = async (exchange: Exchange): Promise<(model: Model) => boolean> => {
    const caller = authorise(await authenticate(credentialOf(exchange), verifyKey), INFERENCE_SCOPE);
    const { effective } = await guardOf(caller);
    return (model) =>
      judgeModel(effective, model) === undefined && modelAt(model, exchange.createdAt).isPriceRefused !== true;
  };
  return [
    {
      method: "POST",
      path: "/v1/chat/completions",
      reaches: "upstream",
      handle: (exchange) => serve(toInferenceCall(exchange, maxRequestBytes)),
    },
    {
      method: "GET",
      path: "/v1/models",
      reaches: "gateway",
      async handle(exchange) {
        const mayCall = await allowedModels(exchange);
        const { current } = providers;
        const data = current.directory.models.filter(mayCall).map((model) => toModelObject(model, current));
        await exchange.sendJson(200, { object: "list", data });
      },
    },
    {
      method: "GET",
      path: "/v1/models/*",
      reaches: "gateway",
      async handle(exchange, rest) {
        const mayCall = await allowedModels(exchange);
        const { current } = providers;
        const model = resolveModel(current.directory, decode(rest));
        if (!mayCall(model)) throw modelNotFound(model.id);
        await exchange.sendJson(200, toModelObject(model, current));
      },
    },
  ];
}

function toInferenceCall(exchange: Exchange, maxBytes: number): InferenceCall {
  const { requestId, createdAt, path, request, reply } = exchange;
  return {
    requestId,
    createdAt,
    endpoint: path,
    credential: credentialOf(exchange),
    idempotencyKey: joined(request.headers["idempotency-key"]),
    readBody: async ({ namespaceId, keyId }) => {
      const encoding = request.headers["content-encoding"];
      if (encoding !== undefined && encoding !== "identity") throw unsupportedEncoding();
      return exchange.readBody(maxBytes, [namespaceId, keyId], true);
    },
    reply,
  };
}

function credentialOf({ request }: Exchange): CredentialHeaders {
  const { authorization, "x-api-key": apiKey } = request.headers;
  // Two such headers are two credentials. Joined they are no valid key, so that the request is refused.
  return {
    authorization: isRepeated(request, "authorization")
      ? request.headersDistinct["authorization"]?.join(", ")
      : authorization,
    apiKey: joined(apiKey),
  };
}

/** Header of which Node joins several, in one of the two forms of its type. */
function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(", ") : header;
}

/** Renders a model, by its bare id unless that names another provider's model. */
function toModelObject(model: Model, { directory, loadedAt }: ProviderSet): object {
  const id = directory.find(model.id) === model ? model.id : `${model.provider}/${model.id}`;
  const created = Math.floor(loadedAt.getTime() / 1000);
  return { id, object: "model", created, owned_by: model.provider };
}

function decode(rest: string): string {
  try {
    return decodeURIComponent(rest);
  } catch {
    throw modelNotFound(rest);
  }
}

function unsupportedEncoding(): Refusal {
  const message = "a compressed request body is not supported: send it without content-encoding";
  return new Refusal("unsupported_encoding", message);
}
