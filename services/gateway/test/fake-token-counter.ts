import type { TokenCounter } from "../src/domain/ports/token-counter.ts";
import { boundText } from "../src/domain/tokens/text-bound.ts";

/** Fake `TokenCounter` that knows no vocabulary, and records how often it was called. */
export function fakeTokenCounter(countText: (text: string) => number = boundText): TokenCounter & { calls: number } {
  return {
    calls: 0,
    async count(texts) {
      this.calls++;
      return texts.reduce((sum, text) => sum + countText(text), 0);
    },
  };
}
