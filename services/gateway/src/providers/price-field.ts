import { MAX_REQUEST_PRICE_PICO_USD } from "@routeplane/domain";
import { MAX_USD_PER_MTOK, toPicoUsdPerRequest, toPicoUsdPerToken } from "./price.ts";
import type { ModelRates, PriceStep, PriceSteps } from "../domain/request/model-directory.ts";
import { surcharged } from "../domain/request/member-rules.ts";
import type { Field } from "./yaml-field.ts";

/** Price of a model as the file gives it. */
export interface FilePrice {
  readonly prices: PriceSteps;
  /** Prices of service tiers, keyed by their name in lower case; undefined if there are none. */
  readonly serviceTiers: ReadonlyMap<string, PriceSteps> | undefined;
}

/** Fields that are rates in USD per million tokens, with the rates that they set. */
const TOKEN_RATES = {
  input_usd_per_mtok: "inputPicoUsd",
  output_usd_per_mtok: "outputPicoUsd",
  cached_input_usd_per_mtok: "cachedInputPicoUsd",
  cache_write_usd_per_mtok: "cacheWritePicoUsd",
  cache_write_1h_usd_per_mtok: "hourCacheWritePicoUsd",
  input_audio_usd_per_mtok: "inputAudioPicoUsd",
  output_audio_usd_per_mtok: "outputAudioPicoUsd",
  reasoning_usd_per_mtok: "reasoningPicoUsd",
} as const;

const RATE_FIELDS = [...Object.keys(TOKEN_RATES), "usd_per_request"];
/** Bound of the price of a request in addition to its tokens, in USD. */
export const MAX_USD_PER_REQUEST = Number(MAX_REQUEST_PRICE_PICO_USD / 10n ** 12n);
/** Bound of the factor of a price. */
export const MAX_FACTOR = 1_000;
const MAX_STEP_TOKENS = 1_000_000_000;
const TIER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Reads `price` of a model. A rate that is left out is that of input or output. */
export function readPrice(field: Field): FilePrice {
  field.onlyMembers([...RATE_FIELDS, "context_steps", "service_tiers"]);
  const prices = readSteps(field);
  const tiers = field.optional("service_tiers")?.entries();
  return { prices, serviceTiers: tiers && new Map(readTiers(tiers, prices)) };
}

function readTiers(
  tiers: readonly { readonly name: string; readonly field: Field }[],
  prices: PriceSteps,
): readonly (readonly [string, PriceSteps])[] {
  const seen = new Set<string>();
  return tiers.map(({ name, field }) => {
    const tier = name.toLowerCase();
    if (!TIER.test(name)) throw field.fault("must be the name of a tier: letters, digits, _ . and -");
    if (tier === "auto") throw field.fault("is no tier: the provider chooses one; price those that it may choose");
    if (seen.has(tier)) throw field.fault("is given twice");
    seen.add(tier);
    return [tier, readTier(field, prices)];
  });
}

/** Reads the price of a tier: a factor of the model's price, or rates of its own. */
function readTier(field: Field, prices: PriceSteps): PriceSteps {
  const factor = field.optional("price_factor");
  if (factor === undefined) {
    field.onlyMembers(["price_factor", ...RATE_FIELDS, "context_steps"]);
    return readSteps(field);
  }
  field.onlyMembers(["price_factor"]);
  const priceFactorPpm = BigInt(Math.round(factor.number(0, MAX_FACTOR) * 1e6));
  return surcharged(prices, [{ member: "service_tier", value: undefined, priceFactorPpm, requestPicoUsd: 0n }]);
}

/** Reads rates, and those of longer inputs, which are complete in themselves. */
function readSteps(field: Field): PriceSteps {
  const steps = field.optional("context_steps")?.items().map(readStep) ?? [];
  steps.forEach(({ field: above, step }, index) => {
    const before = steps[index - 1]?.step.aboveInputTokens ?? 0;
    if (step.aboveInputTokens <= before) throw above.fault("must be larger than that of the step before");
  });
  return [{ aboveInputTokens: 0, price: readRates(field) }, ...steps.map(({ step }) => step)];
}

function readStep(field: Field): { readonly field: Field; readonly step: PriceStep } {
  field.onlyMembers(["above_input_tokens", ...RATE_FIELDS]);
  const above = field.required("above_input_tokens");
  return { field: above, step: { aboveInputTokens: above.integer(1, MAX_STEP_TOKENS), price: readRates(field) } };
}

function readRates(field: Field): ModelRates {
  const perToken = (rate: Field): bigint => toPicoUsdPerToken(rate.number(0, MAX_USD_PER_MTOK));
  const optional = Object.entries(TOKEN_RATES).flatMap(([name, rate]): [string, bigint][] => {
    const value = field.optional(name);
    return value === undefined ? [] : [[rate, perToken(value)]];
  });
  const perRequest = field.optional("usd_per_request")?.number(0, MAX_USD_PER_REQUEST);
  return {
    ...Object.fromEntries(optional),
    inputPicoUsd: perToken(field.required("input_usd_per_mtok")),
    outputPicoUsd: perToken(field.required("output_usd_per_mtok")),
    ...(perRequest !== undefined && { requestPicoUsd: toPicoUsdPerRequest(perRequest) }),
  };
}
