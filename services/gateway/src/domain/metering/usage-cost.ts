import { type Rates, requestCost } from "@routeplane/admission";
import { type Model, priceAt } from "../request/model-directory.ts";
import type { TokenUsage } from "./usage.ts";

/** Cost of a usage. */
export interface UsageCost {
  /** Nano-USD, a multiple of 1,000. */
  readonly costNanoUsd: bigint;
  /** True if something in the usage has no known price, or if its parts are not counted apart as its price needs. */
  readonly isEstimated: boolean;
}

/**
 * Cost of a usage at the prices of a model. If a price needs a part that the usage leaves out (audio that was sent or asked for), the whole
 * is charged as that part, as an estimate. A part without a rate of its own is charged as the rest. That is an estimate for the parts that
 * providers bill higher: cache writes and audio.
 */
export function costOfUsage(model: Model, usage: TokenUsage): UsageCost {
  const rates = priceAt(model, usage.promptTokens);
  const { promptTokens, completionTokens } = usage;
  const isInputAudioLeftOut =
    model.use?.hasInputAudio === true && rates.inputAudioPicoUsd !== undefined && usage.promptAudioTokens === undefined;
  const isOutputAudioLeftOut =
    model.use?.hasOutputAudio === true &&
    rates.outputAudioPicoUsd !== undefined &&
    usage.completionAudioTokens === undefined;
  const costNanoUsd = requestCost(rates, {
    ...usage,
    ...(isInputAudioLeftOut && { promptAudioTokens: promptTokens }),
    ...(isOutputAudioLeftOut && { completionAudioTokens: completionTokens }),
  });
  const isEstimated =
    model.isPriceEstimated === true ||
    isInputAudioLeftOut ||
    isOutputAudioLeftOut ||
    hasUnpricedPart(rates, usage) ||
    (model.use?.hasMixedCaching === true && isUsed(usage.cacheWriteTokens));
  return { costNanoUsd, isEstimated };
}

function hasUnpricedPart(rates: Rates, usage: TokenUsage): boolean {
  const { inputPicoUsd, outputPicoUsd, cacheWritePicoUsd, inputAudioPicoUsd, outputAudioPicoUsd } = rates;
  if (inputPicoUsd === 0n && outputPicoUsd === 0n) return false;
  const { cacheWriteTokens, promptAudioTokens, completionAudioTokens, cachedPromptTokens } = usage;
  return (
    (isUsed(cacheWriteTokens) && cacheWritePicoUsd === undefined) ||
    (isUsed(promptAudioTokens) && inputAudioPicoUsd === undefined) ||
    (isUsed(completionAudioTokens) && outputAudioPicoUsd === undefined) ||
    // Cached audio has a rate that no usage counts apart.
    (isUsed(promptAudioTokens) && isUsed(cachedPromptTokens))
  );
}

function isUsed(tokens: number | undefined): boolean {
  return tokens !== undefined && tokens > 0;
}
