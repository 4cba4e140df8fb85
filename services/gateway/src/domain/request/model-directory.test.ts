import { describe, expect, it } from "vitest";
import { chargeFor, costBound } from "../metering/charge.ts";
import { createModelDirectory, type Model, priceAt, resolveModel } from "./model-directory.ts";

const price = (input: bigint, output: bigint) => ({ inputPicoUsd: input, outputPicoUsd: output });

function model(provider: string, id: string): Model {
  return {
    provider,
    id,
    prices: [{ aboveInputTokens: 0, price: price(1n, 2n) }],
    priceVersion: "file:1",
    outputField: "max_tokens",
  };
}

const directory = createModelDirectory([
  model("openai", "gpt-4o"),
  model("azure", "gpt-4o"),
  model("hub", "meta/Llama"),
]);

describe("resolveModel", () => {
  it.each([
    ["gpt-4o", "openai"],
    ["azure/gpt-4o", "azure"],
    ["  OpenAI/GPT-4O\t", "openai"],
    ["meta/llama", "hub"],
    ["hub/meta/llama", "hub"],
  ])("takes %j for the model of %s", (text, provider) => {
    expect(resolveModel(directory, text).provider).toBe(provider);
  });

  it.each(["gpt-4", "openai/", "openai/llama", "gpt-4o-mini", "__proto__"])("does not know %j", (text) => {
    expect(() => resolveModel(directory, text)).toThrow(
      expect.objectContaining({ status: 404, code: "model_not_found" }),
    );
  });
});

describe("prices that grow with the input", () => {
  const stepped: Model = {
    ...model("openai", "long"),
    prices: [
      { aboveInputTokens: 0, price: price(1_000_000n, 2_000_000n) },
      { aboveInputTokens: 100, price: price(3_000_000n, 4_000_000n) },
    ],
  };
  const granted = { inputTokensMax: 150, outputTokensMax: 10 };
  const request = { granted, choices: 1, streamed: false, unseenWorkMs: 0 };

  it("apply to the whole request once the input exceeds the step", () => {
    expect(priceAt(stepped, 100)).toEqual(price(1_000_000n, 2_000_000n));
    expect(priceAt(stepped, 101)).toEqual(price(3_000_000n, 4_000_000n));
  });

  it("are reserved at the step of the bound and charged at the step of the usage", () => {
    expect(costBound(stepped, granted)).toBe((150n * 3n + 10n * 4n) * 1000n);
    const usage = { promptTokens: 100, completionTokens: 10, cachedPromptTokens: 7, reasoningTokens: undefined };
    expect(chargeFor({ usage, billable: true }, stepped, request)).toEqual({
      ...usage,
      costNanoUsd: (100n + 20n) * 1000n,
      estimated: false,
      price: { version: stepped.priceVersion, ...price(1_000_000n, 2_000_000n) },
    });
  });

  it("charge the bounds if nothing is known of a whole answer, and nothing for work that was not done", () => {
    const unknown = chargeFor({ usage: undefined, billable: true }, stepped, request);
    expect(unknown).toMatchObject({ promptTokens: 150, completionTokens: 10, estimated: true });
    expect(unknown.costNanoUsd).toBe(costBound(stepped, granted));
    expect(chargeFor({ usage: undefined, billable: false }, stepped, request).costNanoUsd).toBe(0n);
  });
});
