import { ceilToMicroUsd, picoToNanoCeil } from "@routeplane/domain";

/** Prices in pico-USD, >= 0; those of tokens are per token. 1 USD per million tokens is 1,000,000. */
export interface TokenPrice {
  readonly inputPicoUsd: bigint;
  readonly outputPicoUsd: bigint;
  /** Price of the request in addition to its tokens, in pico-USD; 0 if undefined. */
  readonly requestPicoUsd?: bigint | undefined;
}

/** Prices of the parts of a usage. A part without a rate of its own costs as the input or output that it belongs to. */
export interface Rates extends TokenPrice {
  /** Input that the provider had cached. */
  readonly cachedInputPicoUsd?: bigint | undefined;
  /** Input that the provider wrote to its cache. */
  readonly cacheWritePicoUsd?: bigint | undefined;
  readonly inputAudioPicoUsd?: bigint | undefined;
  readonly outputAudioPicoUsd?: bigint | undefined;
  readonly reasoningPicoUsd?: bigint | undefined;
}

/** Tokens that a request used: whole numbers >= 0. Each part is included in `promptTokens` or `completionTokens`. */
export interface UsedTokens {
  readonly promptTokens: bigint | number;
  /** All billed output, reasoning included. */
  readonly completionTokens: bigint | number;
  readonly cachedPromptTokens?: bigint | number | undefined;
  readonly cacheWriteTokens?: bigint | number | undefined;
  readonly promptAudioTokens?: bigint | number | undefined;
  readonly completionAudioTokens?: bigint | number | undefined;
  readonly reasoningTokens?: bigint | number | undefined;
}

/** Tokens and their own price; undefined to charge them at the price of the whole. */
type PricedPart = readonly [tokens: bigint | number | undefined, picoUsd: bigint | undefined];

/**
 * Charge for a request that used these tokens: the exact sum over the parts, rounded up once to a whole micro-USD.
 *
 * Parts that add up to more than the whole overlap, e.g. cached audio: the tokens of the overlap are charged once, as the part that is
 * usually dearer.
 *
 * @returns nano-USD, a multiple of 1,000
 * @throws RangeError for a negative price or count, which would turn a charge into a credit, and for a count that is not whole
 */
export function requestCost(rates: Rates, usage: UsedTokens): bigint {
  const { inputPicoUsd, outputPicoUsd, requestPicoUsd = 0n } = rates;
  const inputCost = costOf(inputPicoUsd, usage.promptTokens, [
    [usage.promptAudioTokens, rates.inputAudioPicoUsd],
    [usage.cacheWriteTokens, rates.cacheWritePicoUsd],
    [usage.cachedPromptTokens, rates.cachedInputPicoUsd],
  ]);
  const outputCost = costOf(outputPicoUsd, usage.completionTokens, [
    [usage.completionAudioTokens, rates.outputAudioPicoUsd],
    [usage.reasoningTokens, rates.reasoningPicoUsd],
  ]);
  return ceilToMicroUsd(picoToNanoCeil(requireAmount(requestPicoUsd) + inputCost + outputCost));
}

/** Cost, in pico-USD, of tokens at the price of the whole, except for parts with a price of their own. */
function costOf(wholePicoUsd: bigint, whole: bigint | number, parts: readonly PricedPart[]): bigint {
  let left = requireAmount(BigInt(whole));
  let cost = 0n;
  for (const [tokens = 0n, picoUsd] of parts) {
    const count = requireAmount(BigInt(tokens));
    if (picoUsd === undefined) continue;
    const charged = count < left ? count : left;
    cost += charged * requireAmount(picoUsd);
    left -= charged;
  }
  return cost + left * requireAmount(wholePicoUsd);
}

function requireAmount(amount: bigint): bigint {
  if (amount < 0n) throw new RangeError("prices and token counts must not be negative");
  return amount;
}

/** Lowest price that covers a request at any of these rates, whichever parts its tokens belong to; 0 if there are no rates. */
export function dearestPrice(rates: readonly Rates[]): TokenPrice {
  let [inputPicoUsd, outputPicoUsd, requestPicoUsd] = [0n, 0n, 0n];
  for (const each of rates) {
    inputPicoUsd = largest(inputPicoUsd, each.inputPicoUsd, each.cachedInputPicoUsd);
    inputPicoUsd = largest(inputPicoUsd, each.cacheWritePicoUsd, each.inputAudioPicoUsd);
    outputPicoUsd = largest(outputPicoUsd, each.outputPicoUsd);
    outputPicoUsd = largest(outputPicoUsd, each.outputAudioPicoUsd, each.reasoningPicoUsd);
    requestPicoUsd = largest(requestPicoUsd, each.requestPicoUsd);
  }
  return { inputPicoUsd, outputPicoUsd, requestPicoUsd };
}

function largest(least: bigint, first = 0n, second = 0n): bigint {
  const larger = first > second ? first : second;
  return larger > least ? larger : least;
}

/**
 * Amount to reserve for a request within these bounds: the least that covers the cost of every usage within them.
 *
 * @param price `dearestPrice` of all rates that the request may be charged by
 * @returns nano-USD, a multiple of 1,000
 * @throws RangeError as `requestCost`
 */
export function reservationCost(price: TokenPrice, inputTokensMax: bigint, outputTokensMax: bigint): bigint {
  return requestCost(price, { promptTokens: inputTokensMax, completionTokens: outputTokensMax });
}
