/** Price of a request. A micro-USD for a million tokens is a pico-USD for one: 0.15 USD for a million tokens is 150,000. */
export interface Price {
  /** Price of a million input tokens, in micro-USD. 0 by default. */
  readonly inputMicroUsdPerMtok?: number;
  /** Price of a million output tokens, in micro-USD. 0 by default. */
  readonly outputMicroUsdPerMtok?: number;
  /** Price of the request besides its tokens, in micro-USD. 0 by default. */
  readonly requestMicroUsd?: number;
}

/** Price in pico-USD, of one token each and of the request. */
export interface PicoUsd {
  readonly input: bigint;
  readonly output: bigint;
  readonly request: bigint;
}

const PICO_PER_MICRO = 1_000_000n;

/** @throws RangeError for a price that is no integer */
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
