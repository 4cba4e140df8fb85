import type { Rates } from "@routeplane/admission";

/** Price of the tokens of a request, and the version of the price table that it is from. */
export interface AppliedPrice extends Rates {
  readonly version: string;
  /** Price of one cached prompt token, in pico-USD. Where this or a rate below is undefined, the price of the other tokens applies. */
  readonly cachedInputPicoUsd?: bigint | undefined;
  readonly cacheWritePicoUsd?: bigint | undefined;
  readonly inputAudioPicoUsd?: bigint | undefined;
  readonly outputAudioPicoUsd?: bigint | undefined;
  readonly reasoningPicoUsd?: bigint | undefined;
}

/** Attempt to get an answer for a request: one call of one model. */
export interface Attempt {
  readonly provider: string;
  /** Id at the provider. */
  readonly model: string;
  /** HTTP status of its answer; undefined if it gave none. */
  readonly status: number | undefined;
  /** Error code of its failure; empty if it answered with success. */
  readonly errorCode: string;
  /** Time from receipt of the request to the call of the upstream. */
  readonly startedMs: number;
  /** Time from that call to its failure, or to the end of its answer. */
  readonly durationMs: number;
}

/** Facts of a receipt beyond the charge; undefined if unknown or not applicable. */
export interface ReceiptFacts {
  /** Price of the charge; undefined if the request was denied. */
  readonly price: AppliedPrice | undefined;
  /** Id of the model whose price is charged; set if the upstream answered with another model than the requested one. */
  readonly billedModel?: string | undefined;
  readonly cachedPromptTokens?: number | undefined;
  readonly cacheWriteTokens?: number | undefined;
  readonly promptAudioTokens?: number | undefined;
  readonly completionAudioTokens?: number | undefined;
  readonly reasoningTokens?: number | undefined;
  /** Service tier that the charge is of, as the upstream names it. */
  readonly serviceTier?: string | undefined;
  /** HTTP status of the upstream's answer. */
  readonly upstreamStatus?: number | undefined;
  /** Id that the upstream gave the request. */
  readonly upstreamRequestId?: string | undefined;
  /** The upstream's own words on a failure, without credentials; the event has them printable and cut to 500 characters. */
  readonly upstreamError?: string | undefined;
  /** Undefined if the request was denied. */
  readonly admittedAt: Date | undefined;
  /** Time from receipt of the request to the first output of its stream. */
  readonly firstTokenMs: number | undefined;
  /** Time from the upstream call to the end of its answer. */
  readonly upstreamMs: number | undefined;
  /** Attempts in order, the last one that of the answer; empty if there was at most one. */
  readonly attempts: readonly Attempt[];
}

/** Receipt of a request that was not admitted. */
export const NO_RECEIPT: ReceiptFacts = {
  price: undefined,
  admittedAt: undefined,
  firstTokenMs: undefined,
  upstreamMs: undefined,
  attempts: [],
};
