import { expect, it } from "vitest";
import { hasOpenAiTemplate, tokenizerOf } from "./model-families.ts";

it.each([
  ["gpt-4o", "o200k_base"],
  ["openai/gpt-4o-mini-2024-07-18", "o200k_base"],
  ["GPT-4.1-nano", "o200k_base"],
  ["gpt-5", "o200k_base"],
  ["gpt-5.2-pro", "o200k_base"],
  ["o3-mini", "o200k_base"],
  ["chatgpt-4o-latest", "o200k_base"],
  ["ft:gpt-4o-mini-2024-07-18:acme::x", "o200k_base"],
  ["openai/gpt-oss-120b:free", "o200k_base"],
  ["gpt-4", "cl100k_base"],
  ["gpt-4-turbo-2024-04-09", "cl100k_base"],
  ["gpt-3.5-turbo", "cl100k_base"],
  ["gpt-35-turbo", "cl100k_base"],
  ["gpt-6-sol", undefined],
  ["gpt-40", undefined],
  ["claude-sonnet-4-5", undefined],
  ["o10", undefined],
  ["my-gpt-4o", undefined],
])("the tokenizer of %s is %s", (id, tokenizer) => {
  expect(tokenizerOf(id)).toBe(tokenizer);
});

it("a model that others serve has another template, though its vocabulary is public", () => {
  expect(hasOpenAiTemplate("gpt-4o")).toBe(true);
  expect(hasOpenAiTemplate("gpt-oss-20b")).toBe(false);
  expect(hasOpenAiTemplate("llama")).toBe(false);
});
