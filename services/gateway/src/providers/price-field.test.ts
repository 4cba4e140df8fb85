import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { dearestPrice } from "@routeplane/admission";
import type { UnknownPrices } from "../domain/request/model-directory.ts";
import { loadProviders } from "./providers.ts";

const folder = mkdtempSync(join(tmpdir(), "routeplane-prices-"));
afterAll(() => rmSync(folder, { recursive: true }));

const FIRST_PRICE_LINE = 8;

/** Loads one model with these lines of YAML as its price, and these as further fields. */
function load(price: readonly string[], more: readonly string[] = [], unknownPrices?: UnknownPrices) {
  const file = join(mkdtempSync(join(folder, "case-")), "providers.yaml");
  const head = [
    "providers:",
    "  - name: lab",
    "    protocol: openai",
    "    base_url: http://127.0.0.1:9/v1",
    "    models:",
  ];
  const priced = price.length === 0 ? [] : ["        price:", ...price.map((line) => `          ${line}`)];
  writeFileSync(file, [...head, "      - id: m", ...priced, ...more.map((line) => `        ${line}`), ""].join("\n"));
  const [provider] = loadProviders({
    file,
    echo: false,
    openAiApiKey: undefined,
    variable: () => undefined,
    ...(unknownPrices !== undefined && { unknownPrices }),
  });
  const model = provider?.models[0];
  if (model === undefined) throw new Error("there is no model");
  return model;
}

const BOTH = ["input_usd_per_mtok: 3", "output_usd_per_mtok: 15"];
const whole = { inputPicoUsd: 3_000_000n, outputPicoUsd: 15_000_000n };

describe("a price in the providers file", () => {
  it("gives exact rates of every part", () => {
    const { prices, priceVersion, isPriceEstimated } = load([
      ...BOTH,
      "cached_input_usd_per_mtok: 0.3",
      "cache_write_usd_per_mtok: 3.75",
      "cache_write_1h_usd_per_mtok: 6",
      "input_audio_usd_per_mtok: 32",
      "output_audio_usd_per_mtok: 64",
      "reasoning_usd_per_mtok: 0.0000001",
      "usd_per_request: 0.005",
    ]);
    const parts = {
      cachedInputPicoUsd: 300_000n,
      cacheWritePicoUsd: 3_750_000n,
      hourCacheWritePicoUsd: 6_000_000n,
      inputAudioPicoUsd: 32_000_000n,
      outputAudioPicoUsd: 64_000_000n,
      reasoningPicoUsd: 1n,
      requestPicoUsd: 5_000_000_000n,
    };
    expect(prices).toEqual([{ aboveInputTokens: 0, price: { ...whole, ...parts } }]);
    expect(priceVersion).toMatch(/^file:/);
    expect(isPriceEstimated).toBeUndefined();
  });

  it("has steps of input length, each complete in itself", () => {
    const steps = [
      "context_steps:",
      "  - {above_input_tokens: 200000, input_usd_per_mtok: 6, output_usd_per_mtok: 22.5}",
      "  - {above_input_tokens: 500000, input_usd_per_mtok: 9, output_usd_per_mtok: 30, cached_input_usd_per_mtok: 1}",
    ];
    const { prices } = load([...BOTH, "cached_input_usd_per_mtok: 0.3", ...steps]);
    expect(prices).toEqual([
      { aboveInputTokens: 0, price: { ...whole, cachedInputPicoUsd: 300_000n } },
      { aboveInputTokens: 200_000, price: { inputPicoUsd: 6_000_000n, outputPicoUsd: 22_500_000n } },
      {
        aboveInputTokens: 500_000,
        price: { inputPicoUsd: 9_000_000n, outputPicoUsd: 30_000_000n, cachedInputPicoUsd: 1_000_000n },
      },
    ]);
  });

  it("has service tiers by a factor or with rates of their own", () => {
    const tiers = [
      "service_tiers:",
      "  Priority: {price_factor: 2}",
      "  flex: {input_usd_per_mtok: 1, output_usd_per_mtok: 2, context_steps: [{above_input_tokens: 9, input_usd_per_mtok: 2, output_usd_per_mtok: 4}]}",
    ];
    const { serviceTiers, priceVersion } = load([...BOTH, ...tiers]);
    expect([...(serviceTiers ?? [])]).toEqual([
      [
        "priority",
        [{ aboveInputTokens: 0, price: { inputPicoUsd: 6_000_000n, outputPicoUsd: 30_000_000n, requestPicoUsd: 0n } }],
      ],
      [
        "flex",
        [
          { aboveInputTokens: 0, price: { inputPicoUsd: 1_000_000n, outputPicoUsd: 2_000_000n } },
          { aboveInputTokens: 9, price: { inputPicoUsd: 2_000_000n, outputPicoUsd: 4_000_000n } },
        ],
      ],
    ]);
    expect(priceVersion).not.toBe(load(BOTH).priceVersion);
    expect(load([...BOTH, "service_tiers:", "  flex: {price_factor: 1}"]).priceVersion).not.toBe(priceVersion);
  });

  it("of 0 is that of a free model, and known", () => {
    const { prices, isPriceEstimated, isPriceRefused } = load(
      ["input_usd_per_mtok: 0", "output_usd_per_mtok: 0"],
      [],
      "refuse",
    );
    expect(dearestPrice(prices.map(({ price }) => price))).toMatchObject({ inputPicoUsd: 0n, outputPicoUsd: 0n });
    expect([isPriceEstimated, isPriceRefused]).toEqual([undefined, undefined]);
  });

  it.each<[string, readonly string[], number, RegExp]>([
    ["an unknown rate", ["image_usd_per_mtok: 1"], 0, /price\.image_usd_per_mtok: unknown field/],
    ["a negative rate", ["cached_input_usd_per_mtok: -1"], 0, /cached_input_usd_per_mtok: must be a number from 0/],
    ["a rate above 1 USD a token", ["reasoning_usd_per_mtok: 1000001"], 0, /must be a number from 0 to 1000000/],
    ["a rate in words", ["usd_per_request: free"], 0, /usd_per_request: must be a number/],
    ["a request above 1,000 USD", ["usd_per_request: 1001"], 0, /must be a number from 0 to 1000/],
    ["steps that are no list", ["context_steps: {}"], 0, /context_steps: must be a list/],
    [
      "a step without a length",
      ["context_steps:", "  - {input_usd_per_mtok: 1, output_usd_per_mtok: 1}"],
      1,
      /above_input_tokens: is required/,
    ],
    [
      "a step with half a price",
      ["context_steps:", "  - {above_input_tokens: 5, input_usd_per_mtok: 1}"],
      1,
      /output_usd_per_mtok: is required/,
    ],
    [
      "a step at 0",
      ["context_steps:", "  - {above_input_tokens: 0, input_usd_per_mtok: 1, output_usd_per_mtok: 1}"],
      1,
      /above_input_tokens: must be a whole number from 1/,
    ],
    [
      "steps out of order",
      [
        "context_steps:",
        "  - {above_input_tokens: 9, input_usd_per_mtok: 1, output_usd_per_mtok: 1}",
        "  - {above_input_tokens: 9, input_usd_per_mtok: 1, output_usd_per_mtok: 1}",
      ],
      2,
      /context_steps\[1\]\.above_input_tokens: must be larger/,
    ],
    ["a tier that is no tier", ["service_tiers:", "  auto: {price_factor: 1}"], 1, /service_tiers\.auto: is no tier/],
    [
      "a tier twice",
      ["service_tiers:", "  flex: {price_factor: 1}", "  Flex: {price_factor: 1}"],
      2,
      /service_tiers\.Flex: is given twice/,
    ],
    [
      "a tier with a factor and a rate",
      ["service_tiers:", "  flex: {price_factor: 1, input_usd_per_mtok: 1}"],
      1,
      /input_usd_per_mtok: unknown field/,
    ],
    ["a tier without a price", ["service_tiers:", "  flex: {}"], 1, /input_usd_per_mtok: is required/],
    [
      "a tier above 1 USD a token",
      ["service_tiers:", "  flex: {price_factor: 1000, }", "input_usd_per_mtok: 2000"],
      -2,
      /a token of m may cost more than 1 USD/,
    ],
  ])("with %s is refused by line and field", (_, lines, offset, message) => {
    const both = lines.some((line) => line.startsWith("input_usd")) ? BOTH.slice(1) : BOTH;
    const line = FIRST_PRICE_LINE + both.length + offset;
    expect(() => load([...both, ...lines])).toThrow(message);
    if (offset >= 0) expect(() => load([...both, ...lines])).toThrow(new RegExp(`providers\\.yaml:${line}: `));
    else expect(() => load([...both, ...lines])).toThrow(/providers\.yaml:6: /);
  });

  it("is refused where surcharges that may come together make it more than what can be charged", () => {
    const factor = (member: string) => `  - {member: ${member}, price_factor: 1000}`;
    expect(() => load(BOTH, ["surcharges:", factor("web_search_options")])).not.toThrow();
    expect(() => load(BOTH, ["surcharges:", factor("web_search_options"), factor("prediction")])).toThrow(
      /providers\.yaml:6: .*a token of m may cost more than 1 USD/,
    );
    const search = "  - {member: web_search_options, usd_per_request: 600}";
    expect(() => load([...BOTH, "usd_per_request: 600"], ["surcharges:", search])).toThrow(
      /more than 1,000 USD beside/,
    );
  });
});

describe("a model without a known price", () => {
  it.each<[UnknownPrices | undefined, readonly string[], boolean]>([
    [undefined, [], false],
    ["refuse", [], true],
    ["refuse", ["unknown_prices: charge"], false],
    ["charge", ["unknown_prices: refuse"], true],
  ])(
    "is charged as an estimate or refused, as the gateway (%s) and then the file (%j) say",
    (unknown, more, isRefused) => {
      const model = load([], more, unknown);
      expect(model).toMatchObject({ isPriceEstimated: true, isPriceRefused: isRefused });
      expect(model.priceVersion).toMatch(/^default:/);
    },
  );

  it("is refused in a file with a faulty switch", () => {
    expect(() => load([], ["unknown_prices: free"])).toThrow(/providers\.yaml:7: .*unknown_prices/);
  });
});
