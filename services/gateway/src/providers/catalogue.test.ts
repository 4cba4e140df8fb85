import { describe, expect, it } from "vitest";
import { modelAt } from "../domain/request/model-directory.ts";
import { catalogueOf } from "./catalogue.ts";
import { catalogueModel } from "./model-prices.ts";

function modelOf(provider: string, id: string) {
  const pricesAt = catalogueOf(provider, "https://example.com").pricesOf(id);
  return pricesAt && catalogueModel({ provider, id, outputField: "max_tokens" }, pricesAt, "refuse");
}

const inputAt = (provider: string, id: string, ...times: readonly string[]) => {
  const model = modelOf(provider, id);
  return times.map((time) => model && Number(modelAt(model, new Date(time)).prices[0].price.inputPicoUsd) / 1e6);
};

describe("a model of the catalogue", () => {
  it.each(["gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"])(
    "has the price of the moment of a request, in any order of moments: %s",
    (id) => {
      const [before, after] = ["2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z"];
      expect(inputAt("google", id, before, after, before, after)).toEqual([0.75, 1.5, 0.75, 1.5]);
    },
  );

  it("has the price of the hour of a request", () => {
    const day = (time: string): string => `2026-12-05T${time}Z`;
    expect(
      inputAt("deepseek", "deepseek-reasoner", ...["00:29:59.999", "00:30:00", "16:29:59.999", "16:30:00"].map(day)),
    ).toEqual([0.135, 0.55, 0.55, 0.135]);
    const hours = ["00:59:59.999", "01:00:00", "03:59:59.999", "04:00:00", "06:00:00", "10:00:00"].map(day);
    expect(inputAt("deepseek", "deepseek-v4-pro", ...hours)).toEqual([0.66, 1.32, 1.32, 0.66, 1.32, 0.66]);
  });

  it("is made once for each period, with a version of its prices", () => {
    const model = modelOf("google", "gemini-3.6-flash");
    const at = (time: string) => model && modelAt(model, new Date(time));
    expect(at("2026-11-29T01:00:00Z")).toBe(at("2026-12-31T23:59:59Z"));
    const [old, next] = [at("2026-12-01T00:00:00Z")?.priceVersion, at("2027-02-01T00:00:00Z")?.priceVersion];
    expect(old).toMatch(/^catalogue:[0-9a-f]{12}$/);
    expect(next).not.toBe(old);
    expect(at("2026-12-01T00:00:00Z")?.priceVersion).toBe(old);
  });

  it("is free if its entry is, and known", () => {
    const model = modelOf("openrouter", "deepseek/deepseek-chat:free") ?? modelOf("mistral", "mistral-nemo:free");
    expect(model?.prices).toEqual([{ aboveInputTokens: 0, price: { inputPicoUsd: 0n, outputPicoUsd: 0n } }]);
    expect(model?.isPriceEstimated).toBe(false);
  });

  it.each([
    ["openai", "whisper-1"],
    ["mistral", "mistral-ocr-latest"],
    ["openai", "of-nobody"],
    ["of-nobody", "gpt-4o"],
  ])("is not known if its entry prices neither a chat nor embeddings: %s/%s", (provider, id) => {
    expect(modelOf(provider, id)).toBeUndefined();
  });
});
