import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dearestPrice, type Rates, requestCost, reservationCost, type UsedTokens } from "./price.ts";

const picoUsd = fc.bigInt({ min: 0n, max: 10n ** 12n });
const tokens = fc.bigInt({ min: 0n, max: 10n ** 9n });
const price = fc.record({
  inputPicoUsd: picoUsd,
  outputPicoUsd: picoUsd,
  requestPicoUsd: fc.bigInt({ min: 0n, max: 10n ** 15n }),
});
const rates: fc.Arbitrary<Rates> = fc
  .tuple(
    price,
    fc.record(
      {
        cachedInputPicoUsd: picoUsd,
        cacheWritePicoUsd: picoUsd,
        inputAudioPicoUsd: picoUsd,
        outputAudioPicoUsd: picoUsd,
        reasoningPicoUsd: picoUsd,
      },
      { requiredKeys: [] },
    ),
  )
  .map(([whole, ofParts]) => Object.assign(whole, ofParts));
const PARTS = [
  "cachedPromptTokens",
  "cacheWriteTokens",
  "promptAudioTokens",
  "completionAudioTokens",
  "reasoningTokens",
] as const;
/** Any parts, including ones that overlap or are larger than the whole. */
const parts = fc.record(Object.fromEntries(PARTS.map((part) => [part, tokens])), { requiredKeys: [] });

const costOf = (each: Rates, promptTokens: bigint, completionTokens: bigint, more: Partial<UsedTokens> = {}): bigint =>
  requestCost(each, { promptTokens, completionTokens, ...more });

describe("requestCost", () => {
  it("charges the price of each token", () => {
    // 0.15 and 0.60 USD per million tokens: 1,000 x 150,000 + 500 x 600,000 pico-USD = 450 micro-USD.
    expect(costOf({ inputPicoUsd: 150_000n, outputPicoUsd: 600_000n }, 1_000n, 500n)).toBe(450_000n);
  });

  it("rounds up to a whole micro-USD once, over input and output together", () => {
    const half = { inputPicoUsd: 500_000n, outputPicoUsd: 500_000n };
    expect(costOf(half, 1n, 1n)).toBe(1_000n);
    expect(costOf(half, 1n, 0n)).toBe(1_000n);
    expect(costOf({ inputPicoUsd: 1n, outputPicoUsd: 0n }, 1n, 0n)).toBe(1_000n);
    expect(costOf({ inputPicoUsd: 1_000_001n, outputPicoUsd: 0n }, 1n, 0n)).toBe(2_000n);
  });

  it("charges nothing for no tokens and for a free model", () => {
    expect(costOf({ inputPicoUsd: 7n, outputPicoUsd: 7n }, 0n, 0n)).toBe(0n);
    expect(costOf({ inputPicoUsd: 0n, outputPicoUsd: 0n }, 9n, 9n)).toBe(0n);
  });

  it("is the smallest whole micro-USD amount that covers the exact price", () => {
    fc.assert(
      fc.property(price, tokens, tokens, (each, prompt, completion) => {
        const pico = each.requestPicoUsd + each.inputPicoUsd * prompt + each.outputPicoUsd * completion;
        const cost = costOf(each, prompt, completion);
        expect(cost % 1_000n).toBe(0n);
        expect(cost * 1_000n >= pico).toBe(true);
        expect((cost - 1_000n) * 1_000n < pico).toBe(true);
      }),
    );
  });

  it("charges the price of the request in addition to that of its tokens", () => {
    const price = { inputPicoUsd: 1n, outputPicoUsd: 1n, requestPicoUsd: 25_000_000_000n };
    expect(costOf(price, 0n, 0n)).toBe(25_000_000n);
    expect(costOf(price, 1n, 0n)).toBe(25_001_000n);
  });

  it("refuses a negative price or count", () => {
    const free = { inputPicoUsd: 0n, outputPicoUsd: 0n };
    expect(() => costOf(free, -1n, 0n)).toThrow(RangeError);
    expect(() => costOf(free, 0n, -1n)).toThrow(RangeError);
    expect(() => costOf({ ...free, requestPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
    expect(() => costOf({ ...free, inputPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
    expect(() => costOf({ ...free, outputPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
  });
});

describe("the parts of a usage", () => {
  const each: Rates = {
    inputPicoUsd: 3_000_000n,
    outputPicoUsd: 15_000_000n,
    cachedInputPicoUsd: 300_000n,
    cacheWritePicoUsd: 3_750_000n,
    inputAudioPicoUsd: 40_000_000n,
    outputAudioPicoUsd: 80_000_000n,
    reasoningPicoUsd: 5_000_000n,
  };

  it.each<[string, Partial<UsedTokens>, bigint]>([
    ["none", {}, 1_000n * 3_000n + 500n * 15_000n],
    ["cached", { cachedPromptTokens: 400 }, 600n * 3_000n + 400n * 300n + 500n * 15_000n],
    ["written to the cache", { cacheWriteTokens: 400 }, 600n * 3_000n + 400n * 3_750n + 500n * 15_000n],
    ["audio in", { promptAudioTokens: 400 }, 600n * 3_000n + 400n * 40_000n + 500n * 15_000n],
    ["audio out", { completionAudioTokens: 200 }, 1_000n * 3_000n + 300n * 15_000n + 200n * 80_000n],
    ["reasoning", { reasoningTokens: 200 }, 1_000n * 3_000n + 300n * 15_000n + 200n * 5_000n],
    [
      "all",
      {
        cachedPromptTokens: 100,
        cacheWriteTokens: 200,
        promptAudioTokens: 300,
        completionAudioTokens: 100,
        reasoningTokens: 100,
      },
      400n * 3_000n + 100n * 300n + 200n * 3_750n + 300n * 40_000n + 300n * 15_000n + 100n * 80_000n + 100n * 5_000n,
    ],
    ["overlapping", { cachedPromptTokens: 900, promptAudioTokens: 400 }, 400n * 40_000n + 600n * 300n + 500n * 15_000n],
    ["larger than the whole", { cachedPromptTokens: 9_000 }, 1_000n * 300n + 500n * 15_000n],
  ])("cost their own rates, and the rest that of the whole: %s", (_, more, nanoUsd) => {
    expect(costOf(each, 1_000n, 500n, more)).toBe(nanoUsd);
  });

  it("cost as the whole where they have no rate of their own", () => {
    fc.assert(
      fc.property(price, tokens, tokens, parts, (whole, prompt, completion, more) => {
        expect(costOf(whole, prompt, completion, more)).toBe(costOf(whole, prompt, completion));
      }),
    );
  });

  it("are refused if they are negative or not whole", () => {
    for (const part of PARTS) {
      expect(() => costOf(each, 1n, 1n, { [part]: -1n })).toThrow(RangeError);
      expect(() => costOf(each, 1n, 1n, { [part]: 0.5 })).toThrow(RangeError);
    }
    expect(() => costOf({ ...each, cachedInputPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
  });
});

describe("reservationCost", () => {
  it("covers, at the dearest price, the cost of every usage within its bounds at any of the rates", () => {
    const share = fc.nat(1_000).map(BigInt);
    fc.assert(
      fc.property(
        fc.array(rates, { minLength: 1, maxLength: 4 }),
        fc.nat(3),
        tokens,
        tokens,
        fc.tuple(share, share),
        parts,
        (all, index, inputMax, outputMax, [inputShare, outputShare], more) => {
          const charged = all[index % all.length] ?? all[0];
          if (charged === undefined) return;
          const used = costOf(charged, (inputMax * inputShare) / 1_000n, (outputMax * outputShare) / 1_000n, more);
          expect(reservationCost(dearestPrice(all), inputMax, outputMax) >= used).toBe(true);
        },
      ),
    );
  });

  it("is no more than the dearest rates cost", () => {
    const cached = { inputPicoUsd: 5n, outputPicoUsd: 7n, cachedInputPicoUsd: 1n };
    expect(dearestPrice([cached])).toEqual({ inputPicoUsd: 5n, outputPicoUsd: 7n, requestPicoUsd: 0n });
    const audio = { inputPicoUsd: 4n, outputPicoUsd: 6n, inputAudioPicoUsd: 9n, requestPicoUsd: 2n };
    expect(dearestPrice([cached, audio])).toEqual({ inputPicoUsd: 9n, outputPicoUsd: 7n, requestPicoUsd: 2n });
  });

  it("reserves no more than the bounds can cost", () => {
    fc.assert(
      fc.property(price, tokens, tokens, (each, inputMax, outputMax) => {
        expect(reservationCost(each, inputMax, outputMax)).toBe(costOf(each, inputMax, outputMax));
      }),
    );
  });

  it("fits into an int64 at the largest price and bounds that the contract allows", () => {
    const dearest = { inputPicoUsd: 10n ** 12n, outputPicoUsd: 10n ** 12n };
    expect(reservationCost(dearest, 10n ** 9n, 10n ** 9n)).toBeLessThan(2n ** 63n);
  });
});
