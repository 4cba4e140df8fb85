import type { ChatRequest } from "./chat-request.ts";

export interface TokenBounds {
  /** Never less than what the upstream will count. */
  readonly inputTokensMax: number;
  /** Over all choices. */
  readonly outputTokensMax: number;
}

/** What is asked of the upstream if the client gives no bound: without one there is nothing to reserve. */
export const DEFAULT_OUTPUT_TOKENS = 4096;

/** Chat templates and hidden system prompts that upstreams add to what the client wrote. */
const TEMPLATE_TOKENS = 128;
/** System prompt that upstreams add to a request with tools: Anthropic counts up to 530 for it. */
const TOOL_PROMPT_TOKENS = 600;
/** The dearest image there is: gpt-4o-mini counts 2,833 + 5,667 for each of at most 8 tiles. */
const IMAGE_TOKENS = 50_000;
/** A file may fill the whole context. */
const FILE_TOKENS = 1_000_000;

/**
 * Bounds a request without tokenising it, which a hostile body can make slow. A token of text is at least one byte, and
 * JSON escapes only add bytes; images and files are references that no byte count bounds, so each has an allowance.
 */
export function boundTokens(request: ChatRequest): TokenBounds {
  const { images, files } = request.media;
  const added = TEMPLATE_TOKENS + (request.hasTools ? TOOL_PROMPT_TOKENS : 0);
  const input = request.bytes.length + added + images * IMAGE_TOKENS + files * FILE_TOKENS;
  return {
    inputTokensMax: Math.min(input, MAX_BOUND),
    outputTokensMax: (request.output?.bounded ?? DEFAULT_OUTPUT_TOKENS) * request.choices,
  };
}

/** What the admission contract takes. */
const MAX_BOUND = 1_000_000_000;
