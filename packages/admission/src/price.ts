import { ceilToMicroUsd, picoToNanoCeil } from "@routeplane/domain";

/** Prices in pico-USD, >= 0; those of tokens are per token. 1 USD per million tokens is 1,000,000. */
export interface TokenPrice {
  readonly inputPicoUsd: bigint;
  readonly outputPicoUsd: bigint;
  /** Price of the request beside its tokens, in pico-USD; 0 if undefined. */
  readonly requestPicoUsd?: bigint | undefined;
}

/**
 * Charge for a request that used these tokens: the exact sum, rounded up once to a whole micro-USD.
 *
 * @returns nano-USD, a multiple of 1,000
 * @throws RangeError for a negative price or count: it would turn a charge into a credit
 */
export function requestCost(price: TokenPrice, promptTokens: bigint, completionTokens: bigint): bigint {
  const { inputPicoUsd, outputPicoUsd, requestPicoUsd = 0n } = price;
  const amounts = [inputPicoUsd, outputPicoUsd, requestPicoUsd, promptTokens, completionTokens];
  if (amounts.some((amount) => amount < 0n)) throw new RangeError("prices and token counts must not be negative");
  const tokensPicoUsd = inputPicoUsd * promptTokens + outputPicoUsd * completionTokens;
  return ceilToMicroUsd(picoToNanoCeil(requestPicoUsd + tokensPicoUsd));
}

/**
 * Amount to reserve for a request within these bounds: the least that covers the cost of every usage within them.
 *
 * @returns nano-USD, a multiple of 1,000
 * @throws RangeError as `requestCost`
 */
export function reservationCost(price: TokenPrice, inputTokensMax: bigint, outputTokensMax: bigint): bigint {
  return requestCost(price, inputTokensMax, outputTokensMax);
}
