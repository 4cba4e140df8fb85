import { judgeModel } from "@routeplane/guardrails";
import { modelNotFound } from "../domain/errors/refusal.ts";
import type { GuardOf } from "../domain/guardrails/guard.ts";
import type { VerifyKey } from "../domain/ports/key-verifier.ts";
import type { ProviderSet, ServedProviders } from "../domain/provider-set.ts";
import { authenticate, authorise, INFERENCE_SCOPE } from "../domain/request/credential.ts";
import { type Model, modelAt, resolveModel } from "../domain/request/model-directory.ts";
import { credentialHeadersOf } from "./credential-headers.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";

export interface ModelsDependencies {
  readonly verifyKey: VerifyKey;
  readonly guardOf: GuardOf;
  readonly providers: ServedProviders;
}

/** Routes of the models that a key may call. */
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
