import type { TokenPrice } from "@routeplane/admission";

/** Highest price in USD per million tokens: 1 USD a token, the bound of the admission contract. */
export const MAX_USD_PER_MTOK = 1_000_000;

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
function toPicoUsdPerToken(usdPerMtok: number): bigint {
  const pico = Math.round(usdPerMtok * 1e6);
  return BigInt(usdPerMtok > 0 ? Math.max(pico, 1) : 0);
}
