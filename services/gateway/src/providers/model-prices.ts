import { dearestPrice, type TokenPrice } from "@routeplane/admission";
import { MAX_REQUEST_PRICE_PICO_USD, MAX_TOKEN_PRICE_PICO_USD } from "@routeplane/domain";
import { ConfigurationError } from "@routeplane/runtime";
import { pricedTiersOf, SERVICE_TIER, surcharged } from "../domain/request/member-rules.ts";
import type { Model, UnknownPrices } from "../domain/request/model-directory.ts";
import type { PeriodPrices } from "./catalogue.ts";
import type { Field } from "./yaml-field.ts";
import { type PriceSource, priceVersion, UNKNOWN_PRICE } from "./price.ts";

/** Model without its prices. */
export type UnpricedModel = Omit<Model, "prices" | "priceVersion" | "at">;

/** Creates a model whose prices never change. */
export function modelOf(
  model: UnpricedModel,
  source: PriceSource,
  { prices, serviceTiers }: Pick<Model, "prices" | "serviceTiers">,
): Model {
  const version = priceVersion(source, prices, serviceTiers, model.memberRules?.surcharges);
  return { ...model, prices, serviceTiers, priceVersion: version };
}

/** Creates a model whose price is not known: it is charged `UNKNOWN_PRICE`, as an estimate, or refused. */
export function unpricedModel(model: UnpricedModel, unknownPrices: UnknownPrices): Model {
  const priced = modelOf(model, "default", flatPrice(UNKNOWN_PRICE));
  return { ...priced, isPriceEstimated: true, isPriceRefused: unknownPrices === "refuse" };
}

/**
 * Creates a model at the prices of the catalogue. The model of a period is made once, when the first request of it arrives, so
 * that a request costs a comparison; prices of the moment do not depend on when this process started.
 */
export function catalogueModel(
  model: UnpricedModel,
  pricesAt: (atMs: number) => PeriodPrices,
  unknownPrices: UnknownPrices,
): Model {
  let period: { readonly model: Model; readonly fromMs: number; readonly untilMs: number } | undefined;
  const at = (moment: Date): Model => {
    const atMs = moment.getTime();
    if (period === undefined || atMs < period.fromMs || atMs >= period.untilMs) {
      const { prices, fromMs, untilMs } = pricesAt(atMs);
      const priced =
        prices === undefined
          ? unpricedModel(model, unknownPrices)
          : { ...modelOf(model, "catalogue", { prices: prices.steps }), isPriceEstimated: prices.isApproximate };
      period = { model: { ...priced, at }, fromMs, untilMs };
    }
    return period.model;
  };
  return at(new Date());
}

/** Prices without steps. */
export function flatPrice(price: TokenPrice): Pick<Model, "prices"> {
  return { prices: [{ aboveInputTokens: 0, price }] };
}

/**
 * Requires that no request to a model can be dearer than what can be reserved and recorded, whatever surcharges apply together.
 *
 * @param field position of the model in the providers file; undefined if it does not name the model's provider
 * @throws ProvidersFileError
 */
export function requirePriceWithinBounds(model: Model, field: Field | undefined): Model {
  const { prices, memberRules } = model;
  const surcharges = memberRules?.surcharges.filter(({ member }) => member !== SERVICE_TIER) ?? [];
  const tiers = [prices, ...pricedTiersOf(model)].flatMap((steps) => surcharged(steps, surcharges));
  const dearest = dearestPrice(tiers.map(({ price }) => price));
  const { inputPicoUsd, outputPicoUsd, requestPicoUsd = 0n } = dearest;
  const isWithin = inputPicoUsd <= MAX_TOKEN_PRICE_PICO_USD && outputPicoUsd <= MAX_TOKEN_PRICE_PICO_USD;
  if (isWithin && requestPicoUsd <= MAX_REQUEST_PRICE_PICO_USD) return model;
  const message =
    `with its service tiers and surcharges, a token of ${model.id} may cost more than 1 USD, or a request more than 1,000 USD ` +
    "beside its tokens: that is more than can be charged";
  throw field?.fault(message) ?? new ConfigurationError(message);
}
