import type { CountUrgency, TokenCounter } from "../ports/token-counter.ts";
import { boundMedia } from "../media/media-tokens.ts";
import { hasOpenAiTemplate } from "../tokens/model-families.ts";
import { boundTexts } from "../tokens/text-bound.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { SentInput } from "./input-collector.ts";
import type { Model } from "./model-directory.ts";
import { wiresOf } from "./model-fit.ts";

/** Upper bounds of the tokens of a request. */
export interface TokenBounds {
  /** Input; the upstream never counts more. */
  readonly inputTokensMax: number;
  /** Output over all choices. */
  readonly outputTokensMax: number;
}

/** Bounds that can be tightened by counting the tokens of texts. */
export interface LooseBounds extends TokenBounds {
  /** Undefined if the bounds are as tight as they can be. */
  readonly loose?: LooseTexts | undefined;
}

/** Texts of a request that are bounded and not counted. */
interface LooseTexts {
  readonly texts: readonly string[];
  /** Their part of the input bound. */
  readonly tokensMax: number;
  /** Bound of the remaining input. */
  readonly otherTokensMax: number;
  readonly tokenizer: Model["tokenizer"];
}

/** The parts of a model that its bounds depend on. */
export type BoundedModel = Partial<Pick<Model, "id" | "wires">> & Pick<Model, "defaultOutputTokens" | "tokenizer">;

/** Output bound of a choice for which the client gives none: without a bound, no amount could be reserved. */
export const DEFAULT_OUTPUT_TOKENS = 4096;

/** Tokens that an upstream adds to what it is sent. */
interface TemplateTokens {
  /** Chat template and hidden system prompt. */
  readonly request: number;
  readonly message: number;
  readonly toolCall: number;
  /** System prompt of a request with tools. */
  readonly tools: number;
}

/** OpenAI's own template: 3 tokens, and 3 or 4 a message. */
const OPENAI_TEMPLATE: TemplateTokens = { request: 12, message: 5, toolCall: 12, tools: 40 };
/** Template of a request whose tokens are counted, and not bounded: what OpenAI's and most others add. */
export const COUNTED_TEMPLATE: TemplateTokens = { request: 3, message: 4, toolCall: 8, tools: 12 };
/** Any template. Anthropic counts up to 530 tokens for the prompt of tools. */
const ANY_TEMPLATE: TemplateTokens = { request: 128, message: 10, toolCall: 20, tools: 600 };

/**
 * Bounds a request at once, without counting its tokens, which long texts make slow. Texts are bounded by their characters,
 * media by what they hold, everything else by its bytes: a token is at least one byte.
 *
 * @param template that of the model by default
 */
export function boundTokens(
  request: InferenceRequest,
  model: BoundedModel = {},
  template = templateOf(model),
): LooseBounds {
  return request.wire.answer.isFree === true ? FREE : boundInput(request, model, template);
}

/**
 * Bounds the input of a request, and its output if it has any, whether they are billed or not.
 *
 * @param template that of the model by default
 */
export function boundInput(
  request: InferenceRequest,
  model: BoundedModel = {},
  template = templateOf(model),
): LooseBounds {
  const { id = "", tokenizer, defaultOutputTokens = DEFAULT_OUTPUT_TOKENS } = model;
  const { input, wire } = request;
  const hasOutput = wire.request.outputFields.length > 0;
  const tokensMax = boundTexts(input.texts);
  // A translated request has no ids by which an upstream could find anything.
  const storedItems = wiresOf(model).has("responses") ? input.storedItems : 0;
  const otherTokensMax =
    input.otherBytes +
    tokensOfTemplate(input, template, request.hasTools) +
    boundMedia(input.media, id) +
    storedItems * boundMedia([{ kind: "file" }], id);
  return {
    inputTokensMax: Math.min(tokensMax + otherTokensMax, MAX_INPUT_TOKENS),
    outputTokensMax: hasOutput ? (request.output?.bounded ?? defaultOutputTokens) * request.choices : 0,
    loose: { texts: input.texts, tokensMax, otherTokensMax, tokenizer },
  };
}

/** Bounds of a request that is not billed: one token, so that a limit which is used up refuses it like any other. */
const FREE: LooseBounds = { inputTokensMax: 1, outputTokensMax: 0 };

/** Largest input bound that the admission API accepts. */
const MAX_INPUT_TOKENS = 1_000_000_000;

function templateOf({ id = "" }: BoundedModel): TemplateTokens {
  return hasOpenAiTemplate(id) ? OPENAI_TEMPLATE : ANY_TEMPLATE;
}

function tokensOfTemplate({ messages, toolCalls }: SentInput, template: TemplateTokens, hasTools: boolean): number {
  const ofMessages = messages * template.message + toolCalls * template.toolCall;
  return template.request + ofMessages + (hasTools ? template.tools : 0);
}

/** Number of tokens from which on texts are counted before the reservation, so that it is not much more than they cost. */
const EAGER_TOKENS = 1_000;

/** Counts the texts of bounds that are so loose that the reservation would keep other requests out. */
export function tightenEagerly(bounds: LooseBounds, counter: TokenCounter): LooseBounds | Promise<LooseBounds> {
  const isLarge = bounds.loose !== undefined && bounds.loose.tokensMax > EAGER_TOKENS;
  return isLarge ? tightenBounds(bounds, counter, "eager") : bounds;
}

/** Tightens bounds by counting the tokens of their texts. */
export async function tightenBounds(
  { inputTokensMax, outputTokensMax, loose }: LooseBounds,
  counter: TokenCounter,
  urgency: CountUrgency = "required",
): Promise<LooseBounds> {
  if (loose === undefined) return { inputTokensMax, outputTokensMax };
  const counted = await counter.count(loose.texts, loose.tokenizer, urgency);
  return {
    inputTokensMax: Math.min(Math.min(loose.tokensMax, counted) + loose.otherTokensMax, MAX_INPUT_TOKENS),
    outputTokensMax,
  };
}
