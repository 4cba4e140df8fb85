import { isObject } from "../wire/json.ts";

/**
 * Token counts that an upstream reported. Every part is included in its whole, whatever the upstream's dialect says; a part is
 * undefined if the upstream does not report it.
 */
export interface TokenUsage {
  /** All input, cached and written to the cache included. */
  readonly promptTokens: number;
  /** All output that is billed, reasoning included. */
  readonly completionTokens: number;
  /** Part of the prompt that was read from a cache. */
  readonly cachedPromptTokens?: number | undefined;
  /** Part of the prompt that was written to a cache. */
  readonly cacheWriteTokens?: number | undefined;
  readonly promptAudioTokens?: number | undefined;
  readonly completionAudioTokens?: number | undefined;
  /** Part of the completion that the client does not see. */
  readonly reasoningTokens?: number | undefined;
}

/** Bound of a count that is believed; no request uses as many tokens. */
const MAX_TOKENS = 1_000_000_000;

/** Reads the usage of a completion or chunk; undefined if it is absent, not whole, negative or beyond the bound. */
export function readUsage(completion: unknown): TokenUsage | undefined {
  const usage = isObject(completion) ? completion["usage"] : undefined;
  if (!isObject(usage)) return undefined;
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return undefined;
  const cachedPromptTokens = partOf(promptTokens, usage["prompt_tokens_details"], "cached_tokens");
  const reasoningTokens = partOf(completionTokens, usage["completion_tokens_details"], "reasoning_tokens");
  return { promptTokens, completionTokens, cachedPromptTokens, reasoningTokens };
}

/** Facts that an answer reports about its origin, as far as its price depends on them. */
export interface AnsweredBy {
  readonly model?: string;
  readonly serviceTier?: string;
}

const MAX_NAME_CHARS = 256;

/** Reads the model and service tier that a completion or chunk reports. */
export function readAnsweredBy(completion: unknown): AnsweredBy {
  if (!isObject(completion)) return {};
  const { model, service_tier: serviceTier } = completion;
  return { ...(isName(model) && { model }), ...(isName(serviceTier) && { serviceTier }) };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_NAME_CHARS;
}

/** Matches non-empty text in a member that carries output. */
const TEXT = /"(?:content|reasoning_content|reasoning|refusal|arguments)"\s*:\s*"[^"]/;

/** True if a completion or chunk, as JSON, has output text. */
export function hasOutput(json: string): boolean {
  return TEXT.test(json);
}

/** True if a usage is a placeholder: it counts no output although there was some. */
export function isPlaceholder({ completionTokens }: TokenUsage, hadOutput: boolean): boolean {
  return completionTokens === 0 && hadOutput;
}

/** Reads a part of a count; undefined also if it is larger than the whole: the charge does not depend on it. */
function partOf(whole: number, details: unknown, name: string): number | undefined {
  const part = isObject(details) ? details[name] : undefined;
  return isCount(part) && part <= whole ? part : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS;
}
