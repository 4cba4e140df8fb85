import type { TokenizerName, UsageInStreams } from "../domain/request/model-directory.ts";
import type { OutputField } from "../domain/request/output-field.ts";
import type { Protocol } from "./model-facts-field.ts";
import type { Field } from "./yaml-field.ts";

/** Settings of requests to a model; undefined where neither the model nor its provider has one. */
export interface RequestSettings {
  readonly usageInStreams: UsageInStreams | undefined;
  readonly outputField: OutputField | undefined;
  readonly defaultOutputTokens: number | undefined;
  readonly tokenizer: TokenizerName | undefined;
}

/** Fields of a provider and of a model that say what its requests must look like. */
export const REQUEST_FIELDS = ["usage_in_streams", "output_field", "default_output_tokens", "tokenizer"] as const;

/** Bound of a default: no model writes more in one answer. */
const MAX_OUTPUT_TOKENS = 1_000_000;

export const NO_REQUEST_SETTINGS: RequestSettings = {
  usageInStreams: undefined,
  outputField: undefined,
  defaultOutputTokens: undefined,
  tokenizer: undefined,
};

/** Fields that are about chat completions alone. */
const CHAT_FIELDS = ["usage_in_streams", "output_field"];

/** @param ofProvider settings that apply where the field has none */
export function readRequestSettings(
  field: Field,
  protocol: Protocol,
  ofProvider = NO_REQUEST_SETTINGS,
): RequestSettings {
  const useless = protocol === "anthropic" && CHAT_FIELDS.flatMap((name) => field.optional(name) ?? [])[0];
  if (useless) throw useless.fault("has no effect with protocol: anthropic");
  return {
    usageInStreams: field.optional("usage_in_streams")?.oneOf(["ask", "never"]) ?? ofProvider.usageInStreams,
    outputField:
      field.optional("output_field")?.oneOf(["max_tokens", "max_completion_tokens"]) ?? ofProvider.outputField,
    defaultOutputTokens:
      field.optional("default_output_tokens")?.integer(1, MAX_OUTPUT_TOKENS) ?? ofProvider.defaultOutputTokens,
    tokenizer: field.optional("tokenizer")?.oneOf(["o200k_base", "cl100k_base"]) ?? ofProvider.tokenizer,
  };
}
