import { createHash } from "node:crypto";
import { MAX_TOKEN_PRICE_PICO_USD } from "@routeplane/domain";
import type { TokenPrice } from "@routeplane/admission";
import { type PriceStep, type Surcharge, textOfPrices } from "../domain/request/model-directory.ts";

const PICO_USD_PER_USD_PER_MTOK = 1_000_000n;
/** Highest price in USD per million tokens: 1 USD a token, the bound of the admission contract. */
export const MAX_USD_PER_MTOK = Number(MAX_TOKEN_PRICE_PICO_USD / PICO_USD_PER_USD_PER_MTOK);

/**
 * Price that is charged for a model without a known price: that of the dear models of the market. It is above 0 so that budgets
 * hold, and low enough that one request does not reserve a whole budget.
 */
export const UNKNOWN_PRICE: TokenPrice = priceOf(10, 30);

/** Converts prices in USD per million tokens, each >= 0. */
export function priceOf(inputUsdPerMtok: number, outputUsdPerMtok: number): TokenPrice {
  return { inputPicoUsd: toPicoUsdPerToken(inputUsdPerMtok), outputPicoUsd: toPicoUsdPerToken(outputUsdPerMtok) };
}

/** Rounds to a whole pico-USD; a price above 0 becomes at least one. USD per million tokens is micro-USD per token. */
export function toPicoUsdPerToken(usdPerMtok: number): bigint {
  const pico = Math.round(usdPerMtok * 1e6);
  return BigInt(usdPerMtok > 0 ? Math.max(pico, 1) : 0);
}

/** Rounds to a whole pico-USD; a price above 0 becomes at least one. */
export function toPicoUsdPerRequest(usd: number): bigint {
  return toPicoUsdPerToken(usd * 1e6);
}

/** Source of a model's price: the providers file, the catalogue, `UNKNOWN_PRICE` if both have none, or the gateway itself. */
export type PriceSource = "file" | "catalogue" | "default" | "built-in";

const DIGEST_LENGTH = 12;

/**
 * Names the prices that a request is charged by, for its receipt, e.g. `catalogue:3f9c2a71b0de`. The digest covers the prices of
 * the moment, those of service tiers, and surcharges, and nothing else: it changes exactly when they do, and is equal on every
 * gateway and in every release with equal prices.
 */
export function priceVersion(
  source: PriceSource,
  prices: readonly PriceStep[],
  serviceTiers: ReadonlyMap<string, readonly PriceStep[]> = new Map(),
  surcharges: readonly Surcharge[] = [],
): string {
  const tiers = [...serviceTiers].map(([tier, steps]) => `tier ${tier}\n${textOfPrices(steps)}`).toSorted();
  const additions = surcharges.map(
    ({ member, value, priceFactorPpm, requestPicoUsd }) =>
      `${member} ${JSON.stringify(value ?? null)} ${priceFactorPpm} ${requestPicoUsd}`,
  );
  const digest = createHash("sha256")
    .update([textOfPrices(prices), ...tiers, ...additions].join("\n"))
    .digest("hex");
  return `${source}:${digest.slice(0, DIGEST_LENGTH)}`;
}
