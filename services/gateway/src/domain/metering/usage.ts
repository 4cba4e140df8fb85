import { isObject } from "../wire/json.ts";

/** Tokens as the upstream counted them. */
export interface TokenUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Those of the prompt that were cached; undefined unless the upstream says so. */
  readonly cachedPromptTokens: number | undefined;
  /** Those of the completion that were reasoning; undefined unless the upstream says so. */
  readonly reasoningTokens: number | undefined;
}

/** More than any request can use: beyond it a count is a fault, not a fact. */
const MAX_TOKENS = 1_000_000_000;

/** The usage in a completion or a chunk; undefined if it is absent, not whole, negative or absurd. */
export function readUsage(completion: unknown): TokenUsage | undefined {
  const usage = isObject(completion) ? completion["usage"] : undefined;
  if (!isObject(usage)) return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return undefined;
  const cachedPromptTokens = partOf(promptTokens, usage["prompt_tokens_details"], "cached_tokens");
  const reasoningTokens = partOf(completionTokens, usage["completion_tokens_details"], "reasoning_tokens");
  return { promptTokens, completionTokens, cachedPromptTokens, reasoningTokens };
}

/** Facts that an answer states of how it came about, as far as its price depends on them. */
export interface AnsweredBy {
  readonly model?: string;
  readonly serviceTier?: string;
}

const MAX_NAME_CHARS = 256;

/** The model and the tier that a completion or a chunk says it is by. */
export function readAnsweredBy(completion: unknown): AnsweredBy {
  if (!isObject(completion)) return {};
  const { model, service_tier: serviceTier } = completion;
  return { ...(isName(model) && { model }), ...(isName(serviceTier) && { serviceTier }) };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_NAME_CHARS;
}

/** Text that is not empty, in any of the members that carry output. */
const TEXT = /"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"[^"]/;

/** True if a completion or a chunk, as JSON, has text of the model's in it. */
export function hasOutput(json: string): boolean {
  return TEXT.test(json);
}

/** True if a usage cannot be meant: no output is counted although there was some. */
export function isPlaceholder({ completionTokens }: TokenUsage, sawOutput: boolean): boolean {
  return completionTokens === 0 && sawOutput;
}

/** Undefined as well for what is no part of `whole`: the charge does not hang on it. */
function partOf(whole: number, details: unknown, name: string): number | undefined {
  const part = isObject(details) ? details[name] : undefined;
  return isCount(part) && part <= whole ? part : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS;
}
