import type { TokenPrice } from "@routeplane/admission";

/** What the tokens of a request cost, and which table of prices says so. */
export interface AppliedPrice extends TokenPrice {
  readonly version: string;
}

/** What a receipt tells beyond the charge; undefined is what is not known, or was not. */
export interface ReceiptFacts {
  /** What the charge is reckoned with; undefined if it was denied. */
  readonly price: AppliedPrice | undefined;
  /** Id of the model that the price is of, if the upstream answered with another than was asked for. */
  readonly billedModel?: string | undefined;
  readonly cachedPromptTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
  /** Undefined if it was denied. */
  readonly admittedAt: Date | undefined;
  /** From when it was received until its stream's first piece of output was passed on. */
  readonly firstTokenMs: number | undefined;
  /** From when the upstream was called until its answer was over. */
  readonly upstreamMs: number | undefined;
}

/** Of what was not admitted. */
export const NO_RECEIPT: ReceiptFacts = {
  price: undefined,
  cachedPromptTokens: undefined,
  reasoningTokens: undefined,
  admittedAt: undefined,
  firstTokenMs: undefined,
  upstreamMs: undefined,
};
