/**
 * Places and names under which upstreams report usage, as data. A new dialect is a name in these lists, and a row of
 * `test/dialects`.
 *
 * A path is names joined by dots. `name[]` is every item of a list, `name[WORD]` the item of a list whose `modality` is the word,
 * as Gemini writes its parts.
 */

/** Paths of usage records within an answer or a chunk; the empty one is the root. */
export const USAGE_PLACES = [
  "usage",
  "x_groq.usage",
  "message.usage",
  "response.usage",
  "metadata.usage",
  "usageMetadata",
  "usage_metadata",
  "amazon-bedrock-invocationMetrics",
  "usage.tokens",
  "usage.billed_units",
  "meta.tokens",
  "timings",
  "",
] as const;

/** Path of usage records that count one choice each. */
export const CHOICE_USAGE_PLACES = ["usage", "delta.usage", "message.usage"] as const;

/** Names of the whole input; those by which Anthropic's models count it without what a cache holds come in `INPUT_BESIDE_CACHE`. */
export const PROMPT = [
  "prompt_tokens",
  "promptTokens",
  "promptTokenCount",
  "prompt_token_count",
  "input_tokens",
  "inputTokens",
  "inputTokenCount",
  "input_token_count",
  "prompt_eval_count",
  "tokens_evaluated",
  "prompt_n",
] as const;

/** Names of an input that does not include what `CACHE_READ_BESIDE` and `CACHE_WRITE_BESIDE` count. */
export const INPUT_BESIDE_CACHE: ReadonlySet<string> = new Set([
  "input_tokens",
  "inputTokens",
  "inputTokenCount",
  "prompt_n",
]);

/** Input that is counted beside the prompt, and billed like it. */
export const PROMPT_BESIDE = ["toolUsePromptTokenCount", "tool_use_prompt_token_count"] as const;

export const COMPLETION = [
  "completion_tokens",
  "completionTokens",
  "candidatesTokenCount",
  "candidates_token_count",
  "output_tokens",
  "outputTokens",
  "outputTokenCount",
  "output_token_count",
  "generated_token_count",
  "generated_tokens",
  "eval_count",
  "tokens_predicted",
  "predicted_n",
] as const;

export const TOTAL = ["total_tokens", "totalTokens", "totalTokenCount", "total_token_count"] as const;

/** Parts of the prompt that were read from a cache. */
export const CACHE_READ = [
  "prompt_tokens_details.cached_tokens",
  "input_tokens_details.cached_tokens",
  "prompt_cache_hit_tokens",
  "cachedContentTokenCount",
  "cached_content_token_count",
  "num_cached_tokens",
  "cached_tokens",
] as const;

/** Reads from a cache that lie beside an input of `INPUT_BESIDE_CACHE`. */
export const CACHE_READ_BESIDE = [
  "cache_read_input_tokens",
  "cacheReadInputTokens",
  "cacheReadInputTokenCount",
  "cache_n",
] as const;

/** Parts of the prompt that were written to a cache. */
export const CACHE_WRITE = [
  "prompt_tokens_details.cache_write_tokens",
  "prompt_tokens_details.cache_creation_tokens",
  "prompt_tokens_details.cache_creation_input_tokens",
  "input_tokens_details.cache_write_tokens",
] as const;

/** Writes to a cache that lie beside an input of `INPUT_BESIDE_CACHE`. */
export const CACHE_WRITE_BESIDE = [
  "cache_creation_input_tokens",
  "cacheWriteInputTokens",
  "cacheWriteInputTokenCount",
] as const;

export const PROMPT_AUDIO = [
  "prompt_tokens_details.audio_tokens",
  "input_tokens_details.audio_tokens",
  "input_token_details.audio_tokens",
  "promptTokensDetails[AUDIO].tokenCount",
  "prompt_tokens_details[AUDIO].token_count",
] as const;

export const COMPLETION_AUDIO = [
  "completion_tokens_details.audio_tokens",
  "output_tokens_details.audio_tokens",
  "output_token_details.audio_tokens",
  "candidatesTokensDetails[AUDIO].tokenCount",
  "candidates_tokens_details[AUDIO].token_count",
] as const;

/** Reasoning, within the completion or beside it: the total tells. */
export const REASONING = [
  "completion_tokens_details.reasoning_tokens",
  "output_tokens_details.reasoning_tokens",
  "completion_tokens_details.thinking_tokens",
  "output_tokens_details.thinking_tokens",
  "reasoning_tokens",
  "reasoningTokens",
] as const;

/** Reasoning that always lies beside the completion. */
export const REASONING_BESIDE = ["thoughtsTokenCount", "thoughts_token_count"] as const;

/** Paths of the model that answered. */
export const MODEL = ["model", "message.model", "response.model", "modelVersion"] as const;

/** Paths of the service tier that the answer is billed by. */
export const SERVICE_TIER = [
  "service_tier",
  "usage.service_tier",
  "message.usage.service_tier",
  "response.service_tier",
  "serviceTier",
] as const;
