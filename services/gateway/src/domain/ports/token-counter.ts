import type { TokenizerName } from "../request/model-directory.ts";

/**
 * Urgency of a count. `eager`: it makes a reservation smaller, and is given up soon. `required`: without it a request may be
 * refused, or its output bound lowered.
 */
export type CountUrgency = "eager" | "required";

/** Counter of tokens that works outside of the event loop. */
export interface TokenCounter {
  /**
   * Bounds the tokens of texts together, exactly but for a few tokens where the tokenizer is known, else by classes of
   * characters. A text that cannot be counted in time has the looser bound of `boundTexts` instead. Never rejects.
   */
  count(texts: readonly string[], tokenizer: TokenizerName | undefined, urgency: CountUrgency): Promise<number>;
}
