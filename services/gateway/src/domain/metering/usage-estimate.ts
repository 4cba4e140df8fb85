import type { TokenBounds } from "../request/token-bounds.ts";
import type { MeteredUsage } from "./answer-meter.ts";
import type { TokenUsage } from "./usage.ts";

/** The part of a request that decides how an answer of unknown usage is estimated. */
export interface EstimatedRequest {
  readonly granted: TokenBounds;
  /** Number of requested choices. */
  readonly choices: number;
  readonly streamed: boolean;
  /** Time in which the upstream may have worked before any output of it was seen. */
  readonly unseenWorkMs: number;
}

/**
 * Maximum number of output tokens of each choice that an upstream makes before it notices that nobody reads its stream: half a second of a
 * fast model, which is what a connection across a continent and one unsent buffer take.
 */
export const UNNOTICED_TOKENS = 64;
/** Minimum of these tokens, in per cent of the output before, because the estimate of that output may be off by as much. */
export const UNNOTICED_PER_CENT = 10;
/**
 * Output tokens a second of each choice of an upstream of which nothing is seen yet: it may reason, at the speed of the faster
 * reasoning models. A stream that is left after a minute of thought is charged for a minute of thought.
 */
export const UNSEEN_TOKENS_PER_SECOND = 100;

/**
 * Usage of a billable answer whose usage is not known. Input is what the upstream has reported, else as counted. Output is what
 * was delivered, what may have been made before the first of it was seen, and, unless the answer is complete, what the upstream
 * makes until it notices. The granted bounds are the ceiling, unless the upstream itself reported more.
 *
 * An answer that was not to be streamed and did not arrive is estimated at the ceiling: many upstreams finish it anyway.
 */
export function estimateUsage({ reported, delivered }: MeteredUsage, request: EstimatedRequest): TokenUsage {
  const { inputTokensMax, outputTokensMax } = request.granted;
  const isUnseen = delivered === undefined && !request.streamed;
  const output = isUnseen ? outputTokensMax : Math.min(outputOf(delivered, request), outputTokensMax);
  return {
    promptTokens: reported?.promptTokens || inputTokensMax,
    completionTokens: Math.max(output, reported?.completionTokens ?? 0),
  };
}

function outputOf(
  { tokens, isComplete }: NonNullable<MeteredUsage["delivered"]> = { tokens: 0, isComplete: false },
  { choices, streamed, unseenWorkMs }: EstimatedRequest,
): number {
  const unseen = Math.ceil((choices * unseenWorkMs * UNSEEN_TOKENS_PER_SECOND) / 1_000);
  // A whole answer is written in the time in which nothing of it is seen.
  const made = streamed ? tokens + unseen : Math.max(tokens, unseen);
  return isComplete ? made : made + Math.max(choices * UNNOTICED_TOKENS, Math.ceil((made * UNNOTICED_PER_CENT) / 100));
}
