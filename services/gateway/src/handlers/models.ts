import { judgeModel } from "@routeplane/guardrails";
import { modelNotFound } from "../domain/errors/refusal.ts";
import type { GuardOf } from "../domain/guardrails/guard.ts";
import type { VerifyKey } from "../domain/ports/key-verifier.ts";
import type { ProviderSet, ServedProviders } from "../domain/provider-set.ts";
import { authenticate, authorise, INFERENCE_SCOPE } from "../domain/request/credential.ts";
import { type Model, modelAt, resolveModel } from "../domain/request/model-directory.ts";
import { servesWire } from "../domain/request/model-fit.ts";
import { qualifiedName } from "../domain/request/model-names.ts";
import { cheapestRequestCost } from "../domain/routing/cheapest-request.ts";
import { hasAvailableHop } from "../domain/routing/hop-order.ts";
import { errorsOfClient, isAnthropicClient } from "./client-api.ts";
import { credentialHeadersOf } from "./credential-headers.ts";
import type { Exchange } from "./exchange.ts";
import { type ListedModel, toAnthropicModel, toAnthropicPage, toOpenAiModel } from "./model-objects.ts";
import type { Route } from "./router.ts";

export interface ModelsDependencies {
  readonly verifyKey: VerifyKey;
  readonly guardOf: GuardOf;
  readonly providers: ServedProviders;
}

/** Routes of the models that a key may call, in the form of the API that the client speaks. */
export function modelsRoutes({ verifyKey, guardOf, providers }: ModelsDependencies): readonly Route[] {
  /** Returns a predicate of the models that the key may call. */
  const allowedModels = async (exchange: Exchange): Promise<(model: Model) => boolean> => {
    const caller = authorise(await authenticate(credentialHeadersOf(exchange), verifyKey), INFERENCE_SCOPE);
    const { effective } = await guardOf(caller);
    return (model) =>
      judgeModel(effective, model) === undefined && modelAt(model, exchange.createdAt).isPriceRefused !== true;
  };
  return [
    {
      method: "GET",
      path: "/v1/models",
      reaches: "gateway",
      errors: errorsOfClient,
      async handle(exchange) {
        announceRequestId(exchange);
        const mayCall = await allowedModels(exchange);
        const { current } = providers;
        const models = current.directory.models
          .filter(mayCall)
          .map((model) => listed(model, current, exchange.createdAt));
        await exchange.sendJson(
          200,
          isAnthropicClient(exchange.request)
            ? toAnthropicPage(models.filter(servesMessages), queryOf(exchange))
            : { object: "list", data: models.map(toOpenAiModel) },
        );
      },
    },
    {
      method: "GET",
      path: "/v1/models/*",
      reaches: "gateway",
      errors: errorsOfClient,
      async handle(exchange, rest) {
        announceRequestId(exchange);
        const mayCall = await allowedModels(exchange);
        const { current } = providers;
        const model = resolveModel(current.directory, decode(rest));
        if (!mayCall(model)) throw modelNotFound(model.id);
        const toObject = isAnthropicClient(exchange.request) ? toAnthropicModel : toOpenAiModel;
        await exchange.sendJson(200, toObject(listed(model, current, exchange.createdAt)));
      },
    },
  ];
}

/** Names the request in the header that clients of the Anthropic API read, on every answer, errors included. */
function announceRequestId({ request, reply, requestId }: Exchange): void {
  if (isAnthropicClient(request)) reply.announce({ "request-id": requestId });
}

function servesMessages({ model }: ListedModel): boolean {
  return servesWire(model, "messages");
}

function queryOf({ request: { url = "" } }: Exchange): URLSearchParams {
  const start = url.indexOf("?");
  return new URLSearchParams(start === -1 ? "" : url.slice(start));
}

/** A model is listed by its bare id unless that names another provider's model, and at the prices of the moment. */
function listed(model: Model, { directory, loadedAt: createdAt }: ProviderSet, moment: Date): ListedModel {
  return {
    id: directory.find(model.id) === model ? model.id : qualifiedName(model),
    createdAt,
    model: modelAt(model, moment),
    isAvailable: hasAvailableHop(directory, model),
    cheapestRequestNanoUsd: cheapestRequestCost(directory, model, moment),
  };
}

function decode(rest: string): string {
  try {
    return decodeURIComponent(rest);
  } catch {
    throw modelNotFound(rest);
  }
}
