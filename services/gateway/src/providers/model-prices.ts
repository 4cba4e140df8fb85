import type { TokenPrice } from "@routeplane/admission";
import type { Model, PriceSteps } from "../domain/request/model-directory.ts";
import type { PeriodPrices } from "./catalogue.ts";
import { type PriceSource, priceVersion, UNKNOWN_PRICE } from "./price.ts";

/** Model without its prices. */
type UnpricedModel = Omit<Model, "prices" | "priceVersion" | "at">;

/** Creates a model whose prices never change. */
export function modelOf(model: UnpricedModel, source: PriceSource, prices: PriceSteps): Model {
  return { ...model, prices, priceVersion: priceVersion(source, prices, model.memberRules?.surcharges) };
}

/** Creates a model whose price is not known: it is charged `UNKNOWN_PRICE`, as an estimate. */
export function unpricedModel(model: UnpricedModel): Model {
  return { ...modelOf(model, "default", flatPrice(UNKNOWN_PRICE)), isPriceEstimated: true };
}

/**
 * Creates a model at the prices of the catalogue. The model of a period is made once, when the first request of it arrives, so
 * that a request costs a comparison; prices of the moment do not depend on when this process started.
 */
export function catalogueModel(model: UnpricedModel, pricesAt: (atMs: number) => PeriodPrices): Model {
  let period: { readonly model: Model; readonly fromMs: number; readonly untilMs: number } | undefined;
  const at = (moment: Date): Model => {
    const atMs = moment.getTime();
    if (period === undefined || atMs < period.fromMs || atMs >= period.untilMs) {
      const { prices, fromMs, untilMs } = pricesAt(atMs);
      const priced =
        prices === undefined
          ? unpricedModel(model)
          : { ...modelOf(model, "catalogue", prices.steps), isPriceEstimated: prices.isApproximate };
      period = { model: { ...priced, at }, fromMs, untilMs };
    }
    return period.model;
  };
  return at(new Date());
}

/** Prices without steps. */
export function flatPrice(price: TokenPrice): PriceSteps {
  return [{ aboveInputTokens: 0, price }];
}
