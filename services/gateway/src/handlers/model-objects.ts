import { nanoToMicro } from "@routeplane/domain";
import { badField } from "../domain/errors/refusal.ts";
import { type Model, priceAt } from "../domain/request/model-directory.ts";

/** Model as it is listed. */
export interface ListedModel {
  /** Bare id, unless that names another provider's model. */
  readonly id: string;
  /** Time at which its provider was loaded. */
  readonly createdAt: Date;
  /** Model at the prices of the moment. */
  readonly model: Model;
  /** False if requests to it are refused because no provider that could serve them has its key. */
  readonly isAvailable: boolean;
  /** Cost of the cheapest request, a multiple of 1,000; undefined if no model can serve one. */
  readonly cheapestRequestNanoUsd: bigint | undefined;
}

/** Renders a model as the OpenAI API does, with further facts that are known about it. */
export function toOpenAiModel({ id, createdAt, model, isAvailable, cheapestRequestNanoUsd }: ListedModel): object {
  const { provider, contextTokens, capabilities } = model;
  const created = Math.floor(createdAt.getTime() / 1000);
  const known = {
    context_tokens: contextTokens,
    capabilities,
    price: toPriceObject(model),
    cheapest_request_micro_usd:
      cheapestRequestNanoUsd === undefined ? undefined : Number(nanoToMicro(cheapestRequestNanoUsd)),
  };
  return { id, object: "model", created, owned_by: provider, status: statusOf(isAvailable), ...known };
}

/** Renders the price of a model for a short input and without a service tier, under the names that it has in a receipt. */
function toPriceObject(model: Model): object {
  const price = priceAt(model, 1);
  const ofPart = (picoUsd: bigint | undefined) => (picoUsd === undefined ? undefined : Number(picoUsd));
  return {
    version: model.priceVersion,
    input_pico_usd: Number(price.inputPicoUsd),
    output_pico_usd: Number(price.outputPicoUsd),
    request_pico_usd: Number(price.requestPicoUsd ?? 0n),
    cached_input_pico_usd: ofPart(price.cachedInputPicoUsd),
    cache_write_pico_usd: ofPart(price.cacheWritePicoUsd),
    input_audio_pico_usd: ofPart(price.inputAudioPicoUsd),
    output_audio_pico_usd: ofPart(price.outputAudioPicoUsd),
    reasoning_pico_usd: ofPart(price.reasoningPicoUsd),
  };
}

/** Renders a model as the Anthropic API does. */
export function toAnthropicModel({ id, createdAt, model, isAvailable }: ListedModel): object {
  const created_at = `${createdAt.toISOString().slice(0, -".000Z".length)}Z`;
  const { contextTokens } = model;
  return {
    type: "model",
    id,
    display_name: id,
    created_at,
    status: statusOf(isAvailable),
    context_tokens: contextTokens,
  };
}

function statusOf(isAvailable: boolean): "available" | "unavailable" {
  return isAvailable ? "available" : "unavailable";
}

/** Models of a page, which is the whole list unless the query bounds it: Anthropic's own default of 20 would hide most of a gateway's. */
const MAX_PAGE = 1_000;

/** Renders a page of models as the Anthropic API does. @throws Refusal 400 for a cursor that is not a model of the list */
export function toAnthropicPage(models: readonly ListedModel[], query: URLSearchParams): object {
  const limit = readLimit(query);
  const [after, before] = [positionOf(models, query, "after_id"), positionOf(models, query, "before_id")];
  const end = before ?? models.length;
  // A page before a model ends with it; any other begins after the one that is given, or at the start.
  const start = before === undefined ? (after ?? -1) + 1 : Math.max((after ?? -1) + 1, before - limit);
  const page = models.slice(start, Math.min(end, start + limit));
  const hasMore = before === undefined ? start + page.length < end : start > (after ?? -1) + 1;
  const [first, last] = [page[0]?.id ?? null, page.at(-1)?.id ?? null];
  return { data: page.map(toAnthropicModel), has_more: hasMore, first_id: first, last_id: last };
}

function readLimit(query: URLSearchParams): number {
  const text = query.get("limit") ?? String(MAX_PAGE);
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_PAGE) throw badField("limit", `must be a whole number from 1 to ${MAX_PAGE}`);
  return limit;
}

function positionOf(models: readonly ListedModel[], query: URLSearchParams, name: string): number | undefined {
  const id = query.get(name);
  if (id === null) return undefined;
  const position = models.findIndex((model) => model.id === id);
  if (position === -1) throw badField(name, "must be the id of a model of the list");
  return position;
}
