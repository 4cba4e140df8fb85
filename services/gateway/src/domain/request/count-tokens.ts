import type { TokenCounter } from "../ports/token-counter.ts";
import type { UpstreamAnswer } from "../ports/upstream.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { Model } from "./model-directory.ts";
import { boundInput, COUNTED_TEMPLATE, tightenBounds } from "./token-bounds.ts";

/**
 * Answers a request to count tokens for a model whose upstream does not count: with an estimate by the tokenizer of the model, and a bound
 * for everything that is not text.
 */
export async function countTokens(
  request: InferenceRequest,
  model: Model,
  counter: TokenCounter,
): Promise<UpstreamAnswer> {
  const { inputTokensMax } = await tightenBounds(boundInput(request, model, COUNTED_TEMPLATE), counter);
  const whole = Buffer.from(JSON.stringify({ input_tokens: inputTokensMax, estimated: true }));
  async function* body(): AsyncGenerator<Uint8Array> {
    yield whole;
  }
  const head = { status: 200, contentType: "application/json", retryAfter: undefined, requestId: undefined };
  return { ...head, isLocal: true, body: body(), whole, discard() {} };
}
