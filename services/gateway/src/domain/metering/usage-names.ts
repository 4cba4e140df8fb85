/**
 * Places and names under which upstreams report usage, as data. A new dialect is a name in these lists, and a file of
 * `test/dialects`.
 *
 * A path is names joined by dots. `name[WORD]` is the item of a list whose `modality` is the word, as Gemini writes its parts.
 */

/** Paths of usage records within an answer or a chunk. */
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
] as const;

/** Members of an answer that is a usage record itself. */
export const ROOT_COUNTS = ["eval_count", "tokens_predicted"] as const;

/** Paths of usage records that count one choice each. */
export const CHOICE_USAGE_PLACES = ["usage", "delta.usage", "message.usage"] as const;

/**
 * Names of each count. The first one that has a number above zero counts, else the first one that has a zero. The counts that end with
 * `Beside` are not included in the whole that they are a part of.
 */
export const COUNT_NAMES = {
  /** Whole input. */
  prompt: [
    "prompt_tokens",
    "promptTokens",
    "promptTokenCount",
    "prompt_token_count",
    "prompt_eval_count",
    "tokens_evaluated",
  ],
  /** Input without what a cache holds, as Anthropic's models count it, unless `cacheRead` counts that as a part. */
  input: ["input_tokens", "inputTokens", "inputTokenCount", "input_token_count", "prompt_n"],
  /** Input that is not included in the prompt, and billed like it. */
  promptBeside: ["toolUsePromptTokenCount", "tool_use_prompt_token_count"],
  completion: [
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
  ],
  total: ["total_tokens", "totalTokens", "totalTokenCount", "total_token_count"],
  /** Input that was read from a cache. */
  cacheRead: [
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
    "num_cached_tokens",
    "cached_tokens",
  ],
  cacheReadBeside: ["cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cache_n"],
  /** Input that was written to a cache. */
  cacheWrite: [
    "prompt_tokens_details.cache_write_tokens",
    "prompt_tokens_details.cache_creation_tokens",
    "prompt_tokens_details.cache_creation_input_tokens",
    "input_tokens_details.cache_write_tokens",
  ],
  cacheWriteBeside: ["cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"],
  promptAudio: [
    "prompt_tokens_details.audio_tokens",
    "input_tokens_details.audio_tokens",
    "input_token_details.audio_tokens",
    "promptTokensDetails[AUDIO].tokenCount",
    "prompt_tokens_details[AUDIO].token_count",
  ],
  completionAudio: [
    "completion_tokens_details.audio_tokens",
    "output_tokens_details.audio_tokens",
    "output_token_details.audio_tokens",
    "candidatesTokensDetails[AUDIO].tokenCount",
    "candidates_tokens_details[AUDIO].token_count",
  ],
  /** Reasoning, included in the completion or not: the total shows which. */
  reasoning: [
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "completion_tokens_details.thinking_tokens",
    "output_tokens_details.thinking_tokens",
    "reasoning_tokens",
    "reasoningTokens",
  ],
  reasoningBeside: ["thoughtsTokenCount", "thoughts_token_count"],
} as const;

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
