import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { requestCost, reservationCost, type TokenPrice } from "./price.ts";

const price: fc.Arbitrary<TokenPrice> = fc.record({
  inputPicoUsd: fc.bigInt({ min: 0n, max: 10n ** 12n }),
  outputPicoUsd: fc.bigInt({ min: 0n, max: 10n ** 12n }),
  requestPicoUsd: fc.bigInt({ min: 0n, max: 10n ** 15n }),
});
const tokens = fc.bigInt({ min: 0n, max: 10n ** 9n });

describe("requestCost", () => {
  it("charges the price of each token", () => {
    // 0.15 and 0.60 USD per million tokens: 1,000 x 150,000 + 500 x 600,000 pico-USD = 450 micro-USD.
    expect(requestCost({ inputPicoUsd: 150_000n, outputPicoUsd: 600_000n }, 1_000n, 500n)).toBe(450_000n);
  });

  it("rounds up to a whole micro-USD once, over input and output together", () => {
    const half = { inputPicoUsd: 500_000n, outputPicoUsd: 500_000n };
    expect(requestCost(half, 1n, 1n)).toBe(1_000n);
    expect(requestCost(half, 1n, 0n)).toBe(1_000n);
    expect(requestCost({ inputPicoUsd: 1n, outputPicoUsd: 0n }, 1n, 0n)).toBe(1_000n);
    expect(requestCost({ inputPicoUsd: 1_000_001n, outputPicoUsd: 0n }, 1n, 0n)).toBe(2_000n);
  });

  it("charges nothing for no tokens and for a free model", () => {
    expect(requestCost({ inputPicoUsd: 7n, outputPicoUsd: 7n }, 0n, 0n)).toBe(0n);
    expect(requestCost({ inputPicoUsd: 0n, outputPicoUsd: 0n }, 9n, 9n)).toBe(0n);
  });

  it("is the smallest whole micro-USD amount that covers the exact price", () => {
    fc.assert(
      fc.property(price, tokens, tokens, (each, prompt, completion) => {
        const { requestPicoUsd = 0n } = each;
        const pico = requestPicoUsd + each.inputPicoUsd * prompt + each.outputPicoUsd * completion;
        const cost = requestCost(each, prompt, completion);
        expect(cost % 1_000n).toBe(0n);
        expect(cost * 1_000n >= pico).toBe(true);
        expect((cost - 1_000n) * 1_000n < pico).toBe(true);
      }),
    );
  });

  it("charges the price of the request besides that of its tokens", () => {
    const price = { inputPicoUsd: 1n, outputPicoUsd: 1n, requestPicoUsd: 25_000_000_000n };
    expect(requestCost(price, 0n, 0n)).toBe(25_000_000n);
    expect(requestCost(price, 1n, 0n)).toBe(25_001_000n);
  });

  it("refuses a negative price or count", () => {
    const free = { inputPicoUsd: 0n, outputPicoUsd: 0n };
    expect(() => requestCost(free, -1n, 0n)).toThrow(RangeError);
    expect(() => requestCost(free, 0n, -1n)).toThrow(RangeError);
    expect(() => requestCost({ ...free, requestPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
    expect(() => requestCost({ ...free, inputPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
    expect(() => requestCost({ ...free, outputPicoUsd: -1n }, 1n, 1n)).toThrow(RangeError);
  });
});

describe("reservationCost", () => {
  it("covers the cost of every usage within its bounds", () => {
    fc.assert(
      fc.property(price, tokens, tokens, fc.nat(1_000), fc.nat(1_000), (each, inputMax, outputMax, inPart, outPart) => {
        const used = requestCost(each, (inputMax * BigInt(inPart)) / 1_000n, (outputMax * BigInt(outPart)) / 1_000n);
        expect(reservationCost(each, inputMax, outputMax) >= used).toBe(true);
      }),
    );
  });

  it("reserves no more than the bounds can cost", () => {
    fc.assert(
      fc.property(price, tokens, tokens, (each, inputMax, outputMax) => {
        expect(reservationCost(each, inputMax, outputMax)).toBe(requestCost(each, inputMax, outputMax));
      }),
    );
  });

  it("fits into an int64 at the largest price and bounds that the contract allows", () => {
    const dearest = { inputPicoUsd: 10n ** 12n, outputPicoUsd: 10n ** 12n };
    expect(reservationCost(dearest, 10n ** 9n, 10n ** 9n)).toBeLessThan(2n ** 63n);
  });
});
