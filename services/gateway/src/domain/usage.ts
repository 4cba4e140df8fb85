import { isObject } from "./chat-request.ts";

/** Tokens as the upstream counted them. */
export interface TokenUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** More than any request can use: beyond it a count is a fault, not a fact. */
const MAX_TOKENS = 1_000_000_000;

/** The usage in a completion or a chunk; undefined if it is absent, not whole, negative or absurd. */
export function readUsage(completion: unknown): TokenUsage | undefined {
  const usage = isObject(completion) ? completion["usage"] : undefined;
  if (!isObject(usage)) return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  return isCount(promptTokens) && isCount(completionTokens) ? { promptTokens, completionTokens } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS;
}
