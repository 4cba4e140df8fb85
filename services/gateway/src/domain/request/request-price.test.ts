import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reservationCost } from "@routeplane/admission";
import { reservedPrice } from "../metering/charge.ts";
import { costOfUsage } from "../metering/usage-cost.ts";
import type { TokenUsage } from "../metering/usage.ts";
import { parseRequest } from "./parse-request.ts";
import { CHAT } from "../wires/chat/chat-wire.ts";
import { createModelDirectory, type Model, type ModelRates, type PriceSteps } from "./model-directory.ts";
import { priceRequest } from "./request-price.ts";

const NEVER = new AbortController().signal;
const MOMENT = new Date("2026-11-29T12:00:00Z");
const MICRO = 1_000_000n;

const price = (input: bigint, output: bigint, more: Partial<ModelRates> = {}): ModelRates => ({
  inputPicoUsd: input * MICRO,
  outputPicoUsd: output * MICRO,
  ...more,
});
const flat = (rates: ModelRates): PriceSteps => [{ aboveInputTokens: 0, price: rates }];

async function priced(model: Partial<Model>, more: object = {}, content: unknown = "hi") {
  const body = { model: "m", messages: [{ role: "user", content }], ...more };
  const request = await parseRequest(CHAT, Buffer.from(JSON.stringify(body)), NEVER);
  const prices = flat(price(1n, 2n));
  const full: Model = { provider: "p", id: "m", prices, priceVersion: "file:1", outputField: "max_tokens", ...model };
  return priceRequest(createModelDirectory([full]), request, MOMENT);
}

const AUDIO_PART = [{ type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } }];
const CACHED_PART = (ttl?: string) => ({ type: "text", text: "x", cache_control: { type: "ephemeral", ttl } });
const AUDIO_OUT = { modalities: ["text", "audio"], audio: { voice: "alloy", format: "wav" } };

describe("the price that a request reserves", () => {
  const rates = price(10n, 20n, {
    cachedInputPicoUsd: MICRO,
    cacheWritePicoUsd: 12n * MICRO,
    hourCacheWritePicoUsd: 20n * MICRO,
    inputAudioPicoUsd: 40n * MICRO,
    outputAudioPicoUsd: 80n * MICRO,
    reasoningPicoUsd: 30n * MICRO,
  });
  const reserved = async (more: object, content?: unknown) => {
    const { model } = await priced({ prices: flat(rates) }, more, content);
    const { inputPicoUsd, outputPicoUsd } = reservedPrice(model, 100);
    return [inputPicoUsd / MICRO, outputPicoUsd / MICRO];
  };

  it.each<[string, object, unknown, bigint, bigint]>([
    ["text, which a provider may cache by itself", {}, "hi", 12n, 30n],
    ["text about audio for an hour", {}, 'say "input_audio" and "1h"', 12n, 30n],
    ["audio in", {}, AUDIO_PART, 40n, 30n],
    ["audio out", AUDIO_OUT, "hi", 12n, 80n],
    ["a file, which may be audio", {}, [{ type: "file", file: { file_id: "f" } }], 40n, 30n],
    ["caching for the usual time", {}, [CACHED_PART()], 12n, 30n],
    ["caching for an hour", {}, [CACHED_PART("1h")], 20n, 30n],
    ["caching for some time and for an hour", {}, [CACHED_PART(), CACHED_PART("1h")], 20n, 30n],
  ])("is the dearest that it may be charged by: %s", async (_, more, content, input, output) => {
    expect(await reserved(more, content)).toEqual([input, output]);
  });

  it("sees caching for an hour that is written with escapes", async () => {
    const text =
      '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"ttl":"\\u0031h"}}]}]}';
    const request = await parseRequest(CHAT, Buffer.from(text), NEVER);
    const model: Model = {
      provider: "p",
      id: "m",
      prices: flat(rates),
      priceVersion: "file:1",
      outputField: "max_tokens",
    };
    const { model: asked } = priceRequest(createModelDirectory([model]), request, MOMENT);
    expect(reservedPrice(asked, 100).inputPicoUsd).toBe(20n * MICRO);
  });

  it("is the dearest of the steps that the bound reaches, for each rate", async () => {
    const prices: PriceSteps = [
      { aboveInputTokens: 0, price: price(5n, 9n) },
      { aboveInputTokens: 100, price: price(3n, 20n) },
      { aboveInputTokens: 200, price: price(8n, 1n) },
    ];
    const { model } = await priced({ prices });
    const at = (bound: number) => {
      const { inputPicoUsd, outputPicoUsd } = reservedPrice(model, bound);
      return [inputPicoUsd / MICRO, outputPicoUsd / MICRO];
    };
    expect([0, 1, 100].map(at)).toEqual([at(0), at(0), at(0)]);
    expect(at(0)).toEqual([5n, 9n]);
    expect(at(101)).toEqual([5n, 20n]);
    expect(at(201)).toEqual([8n, 20n]);
  });

  it("is the model's at the moment of the request, whatever moment the model was made at", async () => {
    const at = (moment: Date): Model => ({ ...late, prices: flat(moment < MOMENT ? price(1n, 1n) : price(2n, 2n)) });
    const late: Model = {
      provider: "p",
      id: "m",
      prices: flat(price(9n, 9n)),
      priceVersion: "catalogue:1",
      outputField: "max_tokens",
      at,
    };
    const request = await parseRequest(
      CHAT,
      Buffer.from('{"model":"m","messages":[{"role":"user","content":"x"}]}'),
      NEVER,
    );
    const inputAt = (ms: number) => {
      const { model, billedModelFor } = priceRequest(createModelDirectory([late]), request, new Date(ms));
      expect(billedModelFor({ model: "m" }).prices).toEqual(model.prices);
      return model.prices[0].price.inputPicoUsd / MICRO;
    };
    expect([inputAt(MOMENT.getTime() - 1), inputAt(MOMENT.getTime())]).toEqual([1n, 2n]);
  });
});

describe("a model without a known price", () => {
  it("is refused with its own code where the operator refuses it, and else charged as an estimate", async () => {
    const unknown = { isPriceEstimated: true, priceVersion: "default:1" };
    await expect(priced({ ...unknown, isPriceRefused: true })).rejects.toMatchObject({
      status: 403,
      code: "model_price_unknown",
      param: "model",
      retryable: false,
    });
    const { billedModelFor } = await priced(unknown);
    expect(costOfUsage(billedModelFor({}), { promptTokens: 1, completionTokens: 1 }).isEstimated).toBe(true);
  });
});

describe("the charge of a request", () => {
  const usage = { promptTokens: 100, completionTokens: 10 };
  const charge = async (rates: ModelRates, used: TokenUsage, more: object = {}, content?: unknown) => {
    const { billedModelFor } = await priced({ prices: flat(rates) }, more, content);
    const { costNanoUsd, isEstimated } = costOfUsage(billedModelFor({}), used);
    return [costNanoUsd / 1_000n, isEstimated];
  };
  const audio = price(1n, 2n, { inputAudioPicoUsd: 10n * MICRO, outputAudioPicoUsd: 20n * MICRO });
  const caching = price(1n, 2n, { cacheWritePicoUsd: 2n * MICRO, hourCacheWritePicoUsd: 3n * MICRO });

  it.each<[string, ModelRates, TokenUsage, object, unknown, bigint, boolean]>([
    ["audio that is counted", audio, { ...usage, promptAudioTokens: 50 }, {}, AUDIO_PART, 570n, false],
    ["audio in that is not counted", audio, usage, {}, AUDIO_PART, 1_020n, true],
    ["audio out that is not counted", audio, usage, AUDIO_OUT, "hi", 300n, true],
    ["audio out that is counted", audio, { ...usage, completionAudioTokens: 0 }, AUDIO_OUT, "hi", 120n, false],
    ["no audio", audio, usage, {}, "hi", 120n, false],
    ["audio without a rate", price(1n, 2n), { ...usage, promptAudioTokens: 5 }, {}, AUDIO_PART, 120n, true],
    [
      "audio beside a cache",
      audio,
      { ...usage, promptAudioTokens: 50, cachedPromptTokens: 9 },
      {},
      AUDIO_PART,
      570n,
      true,
    ],
    ["a cache write", caching, { ...usage, cacheWriteTokens: 50 }, {}, [CACHED_PART("5m")], 170n, false],
    ["a cache write for an hour", caching, { ...usage, cacheWriteTokens: 50 }, {}, [CACHED_PART("1h")], 220n, false],
    [
      "cache writes of each",
      caching,
      { ...usage, cacheWriteTokens: 50 },
      {},
      [CACHED_PART("1h"), CACHED_PART()],
      220n,
      true,
    ],
    [
      "none of the cache writes",
      caching,
      { ...usage, cacheWriteTokens: 0 },
      {},
      [CACHED_PART("1h"), CACHED_PART()],
      120n,
      false,
    ],
    ["a cache write without a rate", price(1n, 2n), { ...usage, cacheWriteTokens: 50 }, {}, "hi", 120n, true],
    ["a cache read without a rate", price(1n, 2n), { ...usage, cachedPromptTokens: 50 }, {}, "hi", 120n, false],
    [
      "anything of a free model",
      price(0n, 0n),
      { ...usage, cacheWriteTokens: 50, promptAudioTokens: 5 },
      {},
      "hi",
      0n,
      false,
    ],
  ])(
    "is exact where every part is counted and priced, else an estimate: %s",
    async (_, rates, used, more, content, microUsd, isEstimated) => {
      expect(await charge(rates, used, more, content)).toEqual([microUsd, isEstimated]);
    },
  );

  it("is never more than its reservation, for every usage within the bounds, at every step and tier", async () => {
    const picoUsd = fc.bigInt({ min: 0n, max: 10n ** 9n });
    const rates: fc.Arbitrary<ModelRates> = fc.record(
      {
        inputPicoUsd: picoUsd,
        outputPicoUsd: picoUsd,
        requestPicoUsd: picoUsd,
        cachedInputPicoUsd: picoUsd,
        cacheWritePicoUsd: picoUsd,
        hourCacheWritePicoUsd: picoUsd,
        inputAudioPicoUsd: picoUsd,
        outputAudioPicoUsd: picoUsd,
        reasoningPicoUsd: picoUsd,
      },
      { requiredKeys: ["inputPicoUsd", "outputPicoUsd"] },
    );
    const steps = fc.tuple(rates, rates, rates).map(([first, second, third]): PriceSteps => [
      { aboveInputTokens: 0, price: first },
      { aboveInputTokens: 500, price: second },
      { aboveInputTokens: 1_000, price: third },
    ]);
    const tier = fc.constantFrom("default", "priority", "flex", "auto", undefined);
    const count = fc.nat(2_000);
    const used = fc.record(
      {
        promptTokens: count,
        completionTokens: count,
        cachedPromptTokens: count,
        cacheWriteTokens: count,
        promptAudioTokens: count,
        completionAudioTokens: count,
        reasoningTokens: count,
      },
      { requiredKeys: ["promptTokens", "completionTokens"] },
    );
    const content = fc.constantFrom<unknown>("hi", AUDIO_PART, [CACHED_PART("1h")], [CACHED_PART(), CACHED_PART("1h")]);
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(steps, steps),
        tier,
        tier,
        fc.boolean(),
        content,
        used,
        fc.tuple(count, count),
        async ([prices, priority], requested, served, hasOutputAudio, sent, each, [moreInput, moreOutput]) => {
          const flex = { member: "service_tier", value: "flex", priceFactorPpm: 2_500_000n, requestPicoUsd: 5n };
          const memberRules = {
            allowed: new Set(["modalities", "audio"]),
            surcharges: [flex],
          };
          const model = { prices, serviceTiers: new Map([["priority", priority]]), memberRules };
          const asked = await priced(model, { service_tier: requested, ...(hasOutputAudio && AUDIO_OUT) }, sent);
          // A named tier falls back to the default one, and to no other.
          const isChosen = requested !== undefined && requested !== "auto";
          const tierOfAnswer = isChosen && served !== "default" && served !== undefined ? requested : served;
          const { promptAudioTokens, completionAudioTokens, ...text } = each;
          const usage = {
            ...text,
            ...(sent === AUDIO_PART && promptAudioTokens !== undefined && { promptAudioTokens }),
            ...(hasOutputAudio && completionAudioTokens !== undefined && { completionAudioTokens }),
          };
          const billed = asked.billedModelFor(tierOfAnswer === undefined ? {} : { serviceTier: tierOfAnswer });
          const inputTokensMax = each.promptTokens + moreInput;
          const reserved = reservationCost(
            reservedPrice(asked.model, inputTokensMax),
            BigInt(inputTokensMax),
            BigInt(each.completionTokens + moreOutput),
          );
          expect(costOfUsage(billed, usage).costNanoUsd <= reserved).toBe(true);
        },
      ),
    );
  });
});
