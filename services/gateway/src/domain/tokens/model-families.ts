import type { TokenizerName } from "../request/model-directory.ts";

/** Models of OpenAI by the tokenizer of their texts. A name may end with a version or a size: `gpt-4o-mini-2024-07-18`. */
const FAMILIES: readonly (readonly [TokenizerName, RegExp])[] = [
  ["o200k_base", /^(?:gpt-4o|chatgpt-4o|gpt-4\.[1-9]|gpt-5|o[1-9]|gpt-oss|codex-mini)(?![a-z0-9])/],
  ["cl100k_base", /^(?:gpt-4|gpt-3\.5|gpt-35)(?![a-z0-9.])/],
];

/**
 * Finds the tokenizer of a model by its id, which may have a vendor before it, and a variant or a fine-tuning after it, e.g.
 * `openai/gpt-4o:free` or `ft:gpt-4o-mini:acme`. Undefined if its vocabulary is not public, or not known.
 */
export function tokenizerOf(modelId: string): TokenizerName | undefined {
  const name = familyNameOf(modelId);
  return FAMILIES.find(([, pattern]) => pattern.test(name))?.[0];
}

/** True for the models whose chat template is OpenAI's own, with a few tokens a message. */
export function hasOpenAiTemplate(modelId: string): boolean {
  return tokenizerOf(modelId) !== undefined && !familyNameOf(modelId).startsWith("gpt-oss");
}

/** Name of a model without vendor and the mark of a fine-tuning, in lower case. */
export function familyNameOf(modelId: string): string {
  return modelId.trim().toLowerCase().replace(/^.*\//, "").replace(/^ft:/, "");
}
