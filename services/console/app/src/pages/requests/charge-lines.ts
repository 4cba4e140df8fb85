import type { LoggedRequest, Price } from "@routeplane/contracts/usage";

/** Line of a receipt: tokens of one kind at one rate. */
export interface ChargeLine {
  readonly kind: string;
  readonly tokens: bigint;
  /** Rate of one token. Pico-USD. */
  readonly ratePicoUsd: bigint;
  readonly amountPicoUsd: bigint;
}

type Part = readonly [kind: string, tokens: bigint | undefined, ratePicoUsd: bigint | undefined];
type Usage = Pick<
  LoggedRequest,
  | "promptTokens"
  | "cachedPromptTokens"
  | "cacheWriteTokens"
  | "promptAudioTokens"
  | "completionTokens"
  | "completionAudioTokens"
  | "reasoningTokens"
>;

/**
 * Lines that add up to the charge: one for each part with its own rate, one for the rest of the input, and one for the rest of the output.
 * Parts that overlap, e.g. cached audio, are charged once, in the order of the gateway.
 */
export function chargeLinesOf(usage: Usage, price: Price): readonly ChargeLine[] {
  return [
    ...linesOf("Input", usage.promptTokens, price.inputPicoUsd, [
      ["Audio input", usage.promptAudioTokens, price.inputAudioPicoUsd],
      ["Cache write", usage.cacheWriteTokens, price.cacheWritePicoUsd],
      ["Cached input", usage.cachedPromptTokens, price.cachedInputPicoUsd],
    ]),
    ...linesOf("Output", usage.completionTokens, price.outputPicoUsd, [
      ["Audio output", usage.completionAudioTokens, price.outputAudioPicoUsd],
      ["Reasoning", usage.reasoningTokens, price.reasoningPicoUsd],
    ]),
  ];
}

function linesOf(kind: string, whole: bigint, ratePicoUsd: bigint, parts: readonly Part[]): readonly ChargeLine[] {
  let left = whole;
  const lines: ChargeLine[] = [];
  for (const [part, tokens = 0n, rate] of parts) {
    const charged = tokens < left ? tokens : left;
    if (rate === undefined || charged === 0n) continue;
    lines.push({ kind: part, tokens: charged, ratePicoUsd: rate, amountPicoUsd: charged * rate });
    left -= charged;
  }
  return [{ kind, tokens: left, ratePicoUsd, amountPicoUsd: left * ratePicoUsd }, ...lines];
}

const PICO_PER_MICRO = 1_000_000n;

/** Sum of a receipt: its lines and the charge per request, rounded up once to a whole micro-USD. */
export function chargeSumOf(lines: readonly ChargeLine[], price: Price): bigint {
  const pico = lines.reduce((sum, { amountPicoUsd }) => sum + amountPicoUsd, price.requestPicoUsd);
  return (pico + PICO_PER_MICRO - 1n) / PICO_PER_MICRO;
}
