import { TieredPrices } from "@pydantic/genai-prices";
import { describe, expect, it } from "vitest";
import { fromCataloguePrice } from "./catalogue-rates.ts";

const tiered = (base: number, ...tiers: readonly (readonly [number, number])[]) =>
  new TieredPrices({ base, tiers: tiers.map(([start, price]) => ({ start, price })) });

describe("a price of the catalogue", () => {
  it("becomes exact rates of every part of a usage", () => {
    const price = {
      input_mtok: 3,
      output_mtok: 15,
      cache_read_mtok: 0.003625,
      cache_write_mtok: 3.75,
      cache_write_1h_mtok: 6,
      input_audio_mtok: 32,
      cache_audio_read_mtok: 0.4,
      output_audio_mtok: 64,
      output_reasoning_mtok: 3.5,
      requests_kcount: 5,
      web_searches_kcount: 10,
      storage_searches_kcount: 2.5,
    };
    expect(fromCataloguePrice(price)).toEqual({
      isApproximate: false,
      steps: [
        {
          aboveInputTokens: 0,
          price: {
            inputPicoUsd: 3_000_000n,
            outputPicoUsd: 15_000_000n,
            cachedInputPicoUsd: 3_625n,
            cacheWritePicoUsd: 3_750_000n,
            hourCacheWritePicoUsd: 6_000_000n,
            inputAudioPicoUsd: 32_000_000n,
            outputAudioPicoUsd: 64_000_000n,
            reasoningPicoUsd: 3_500_000n,
            requestPicoUsd: 5_000_000_000n,
          },
        },
      ],
    });
  });

  it("has a step wherever any of its rates has one", () => {
    const price = {
      input_mtok: tiered(1, [200, 2]),
      output_mtok: 5,
      cache_read_mtok: tiered(0.1, [100, 0.2], [300, 0.3]),
    };
    expect(fromCataloguePrice(price)?.steps).toEqual(
      [
        [0, 1_000_000n, 100_000n],
        [100, 1_000_000n, 200_000n],
        [200, 2_000_000n, 200_000n],
        [300, 2_000_000n, 300_000n],
      ].map(([aboveInputTokens, inputPicoUsd, cachedInputPicoUsd]) => ({
        aboveInputTokens,
        price: { inputPicoUsd, outputPicoUsd: 5_000_000n, cachedInputPicoUsd },
      })),
    );
  });

  it("without any rate is that of a free model", () => {
    const free = { aboveInputTokens: 0, price: { inputPicoUsd: 0n, outputPicoUsd: 0n } };
    expect(fromCataloguePrice({})).toEqual({ steps: [free], isApproximate: false });
    expect(fromCataloguePrice({ input_mtok: 0, output_mtok: 0 })?.steps).toEqual([free]);
  });

  it.each<[object]>([
    [{ input_mtok: 1 }],
    [{ output_mtok: 1 }],
    [{ requests_kcount: 1 }],
    [{ web_searches_kcount: 1 }],
    [{ audio_hours: 1, input_text_messages_kcount: 4 }],
    [{ input_document_kpages: 1 }],
    [{ input_mtok: 1, output_mtok: 2, audio_hours: 3 }],
    [{ input_mtok: 1, output_mtok: 2, something_of_the_future: 3 }],
  ])("is not known if it does not price a chat by tokens and requests: %j", (price) => {
    expect(fromCataloguePrice({ ...price })).toBeUndefined();
  });

  it("of parts that no usage counts apart is the dearest, and an estimate", () => {
    const price = {
      input_mtok: 0.3,
      input_video_mtok: 1,
      output_mtok: 2.5,
      output_image_mtok: 30,
      output_citation_mtok: 1,
    };
    const dearest = { inputPicoUsd: 1_000_000n, outputPicoUsd: 30_000_000n };
    expect(fromCataloguePrice(price)).toEqual({
      steps: [{ aboveInputTokens: 0, price: dearest }],
      isApproximate: true,
    });
  });
});
