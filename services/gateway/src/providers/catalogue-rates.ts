import type { ModelPrice } from "@pydantic/genai-prices";
import { priceOf, toPicoUsdPerRequest, toPicoUsdPerToken } from "./price.ts";
import type { PriceStep, PriceSteps } from "../domain/request/model-directory.ts";

/** Prices of a catalogue entry in integers. */
export interface CataloguePrices {
  readonly steps: PriceSteps;
  /** True if it has rates of parts that no usage counts apart, e.g. images: charges by the dearest are estimates. */
  readonly isApproximate: boolean;
}

/** Rates of the catalogue that have a counterpart here. */
const RATE_OF = {
  input_mtok: "inputPicoUsd",
  output_mtok: "outputPicoUsd",
  cache_read_mtok: "cachedInputPicoUsd",
  cache_write_mtok: "cacheWritePicoUsd",
  cache_write_1h_mtok: "hourCacheWritePicoUsd",
  input_audio_mtok: "inputAudioPicoUsd",
  output_audio_mtok: "outputAudioPicoUsd",
  output_reasoning_mtok: "reasoningPicoUsd",
} as const;

/** Matches rates of parts that no usage counts apart. Each raises the rate of the whole that its part belongs to. */
const UNCOUNTED = /^(input|output)_\w+_mtok$/;
/** Rates that change no charge: those of tools, which only a surcharge allows, and of cached parts, where input has the rate. */
const UNCHARGED = /_searches_kcount$|^cache_\w+_read_mtok$/;

/**
 * Converts prices of the catalogue. An entry without any rate is that of a free model.
 *
 * @returns undefined if they do not price a chat: without a rate of input or of output, or by something else than tokens and requests
 */
export function fromCataloguePrice(price: ModelPrice): CataloguePrices | undefined {
  const rates = Object.entries(price).flatMap(([name, rate]) => (rate === undefined ? [] : [{ name, rate }]));
  const { input_mtok: input, output_mtok: output } = price;
  if (rates.length === 0) return { steps: [{ aboveInputTokens: 0, price: priceOf(0, 0) }], isApproximate: false };
  if (input === undefined || output === undefined || !rates.every(({ name }) => isKnown(name))) return undefined;
  const uncounted = rates.filter(({ name }) => !isCharged(name) && UNCOUNTED.test(name));
  const dearestAt = (side: "input" | "output", rate: CatalogueRate, above: number): number =>
    Math.max(
      rateAt(rate, above),
      ...uncounted.filter(({ name }) => name.startsWith(side)).map((part) => rateAt(part.rate, above)),
    );
  const stepAt = (aboveInputTokens: number): PriceStep => {
    const whole = priceOf(dearestAt("input", input, aboveInputTokens), dearestAt("output", output, aboveInputTokens));
    return { aboveInputTokens, price: { ...ratesAt(rates, aboveInputTokens), ...whole } };
  };
  const starts = rates.flatMap(({ rate }) => (typeof rate === "number" ? [] : rate.tiers.map(({ start }) => start)));
  const later = [...new Set(starts.filter((start) => start > 0))].toSorted((left, right) => left - right);
  return { steps: [stepAt(0), ...later.map(stepAt)], isApproximate: uncounted.length > 0 };
}

function isKnown(name: string): boolean {
  return isCharged(name) || name === "requests_kcount" || UNCOUNTED.test(name) || UNCHARGED.test(name);
}

type CatalogueRate = Exclude<ModelPrice[string], undefined>;

/** Converts the rates of parts and of the request that apply to inputs of more than `above` tokens, up to the next step. */
function ratesAt(rates: readonly { readonly name: string; readonly rate: CatalogueRate }[], above: number) {
  const known = rates.flatMap(({ name, rate }): [string, bigint][] => {
    if (name === "requests_kcount") return [["requestPicoUsd", toPicoUsdPerRequest(rateAt(rate, above) / 1_000)]];
    return isCharged(name) ? [[RATE_OF[name], toPicoUsdPerToken(rateAt(rate, above))]] : [];
  });
  return Object.fromEntries(known);
}

function isCharged(name: string): name is keyof typeof RATE_OF {
  return Object.hasOwn(RATE_OF, name);
}

function rateAt(rate: CatalogueRate, above: number): number {
  if (typeof rate === "number") return rate;
  return rate.tiers.findLast(({ start }) => start <= above)?.price ?? rate.base;
}
