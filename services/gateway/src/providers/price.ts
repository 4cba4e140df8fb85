import type { TokenPrice } from "@routeplane/admission";

/** What a token may cost at most: the bound of the admission contract, 1 USD. */
export const MAX_USD_PER_MTOK = 1_000_000;

/**
 * For a model whose price nobody knows: what the dear models of the market cost. Not free, so that budgets hold, and not so
 * much that one request locks a budget up.
 */
export const UNKNOWN_PRICE: TokenPrice = priceOf(10, 30);

/** @param inputUsdPerMtok USD for a million input tokens, >= 0 */
export function priceOf(inputUsdPerMtok: number, outputUsdPerMtok: number): TokenPrice {
  return { inputPicoUsd: toPicoUsdPerToken(inputUsdPerMtok), outputPicoUsd: toPicoUsdPerToken(outputUsdPerMtok) };
}

/** USD per million tokens is micro-USD per token. Rounded to a whole pico-USD; what costs anything costs at least one. */
function toPicoUsdPerToken(usdPerMtok: number): bigint {
  const pico = Math.round(usdPerMtok * 1e6);
  return BigInt(usdPerMtok > 0 ? Math.max(pico, 1) : 0);
}
