/** Price of a request. One micro-USD per million tokens is one pico-USD per token: 0.15 USD per million tokens is 150,000. */
export interface Price {
  /** Price of a million input tokens, in micro-USD. 0 by default. */
  readonly inputMicroUsdPerMtok?: number;
  /** Price of a million output tokens, in micro-USD. 0 by default. */
  readonly outputMicroUsdPerMtok?: number;
  /** Price of the request in addition to its tokens, in micro-USD. 0 by default. */
  readonly requestMicroUsd?: number;
}

/** Price in pico-USD per token and per request. */
export interface PicoUsd {
  readonly input: bigint;
  readonly output: bigint;
  readonly request: bigint;
}

const PICO_PER_MICRO = 1_000_000n;

/** Converts a price of whole numbers. */
export function picoUsdOf({
  inputMicroUsdPerMtok = 0,
  outputMicroUsdPerMtok = 0,
  requestMicroUsd = 0,
}: Price): PicoUsd {
  return {
    input: BigInt(inputMicroUsdPerMtok),
    output: BigInt(outputMicroUsdPerMtok),
    request: BigInt(requestMicroUsd) * PICO_PER_MICRO,
  };
}

/** Cost of tokens at a price, in pico-USD. */
export function costOf({ input, output, request }: PicoUsd, inputTokens: bigint, outputTokens: bigint): bigint {
  return input * inputTokens + output * outputTokens + request;
}
