import type { ChatRequest } from "./chat-request.ts";
import type { Model } from "./model-directory.ts";

/** Upper bounds of the tokens of a request. */
export interface TokenBounds {
  /** Input; the upstream never counts more. */
  readonly inputTokensMax: number;
  /** Output over all choices. */
  readonly outputTokensMax: number;
}

/** The parts of a model that its bounds depend on. */
export type BoundedModel = Pick<Model, "defaultOutputTokens" | "tokenizer">;

/** Output bound of a choice for which the client gives none: without a bound, no amount could be reserved. */
export const DEFAULT_OUTPUT_TOKENS = 4096;

/** Allowance for chat templates and hidden system prompts that upstreams add. */
const TEMPLATE_TOKENS = 128;
/** Allowance for the system prompt that upstreams add to a request with tools; Anthropic counts up to 530. */
const TOOL_PROMPT_TOKENS = 600;
/** Allowance for an image. The dearest is of gpt-4o-mini: 2,833 + 5,667 for each of at most 8 tiles. */
const IMAGE_TOKENS = 50_000;
/** Allowance for a file, which may fill the whole context. */
const FILE_TOKENS = 1_000_000;

/**
 * Bounds a request without tokenising it, which a hostile body can make slow. A token of text is at least one byte, and
 * JSON escapes only add bytes; images and files are references that no byte count bounds, so each has an allowance.
 */
export function boundTokens(
  request: ChatRequest,
  { defaultOutputTokens = DEFAULT_OUTPUT_TOKENS }: BoundedModel = {},
): TokenBounds {
  const { images, files } = request.media;
  const added = TEMPLATE_TOKENS + (request.hasTools ? TOOL_PROMPT_TOKENS : 0);
  const input = request.bytes.length + added + images * IMAGE_TOKENS + files * FILE_TOKENS;
  return {
    inputTokensMax: Math.min(input, MAX_INPUT_TOKENS),
    outputTokensMax: (request.output?.bounded ?? defaultOutputTokens) * request.choices,
  };
}

/** Largest input bound that the admission API accepts. */
const MAX_INPUT_TOKENS = 1_000_000_000;
