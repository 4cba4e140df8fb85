import { create } from "@bufbuild/protobuf";
import { requestCost } from "@routeplane/admission";
import { LoggedRequestSchema, PriceSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { chargeLinesOf, chargeSumOf } from "./charge-lines.ts";

const PRICE = create(PriceSchema, { inputPicoUsd: 2_500_000n, outputPicoUsd: 10_000_000n });

test("lists the input and the output at their rates", () => {
  const request = create(LoggedRequestSchema, { promptTokens: 100n, completionTokens: 7n, cachedPromptTokens: 60n });
  expect(chargeLinesOf(request, PRICE)).toEqual([
    { kind: "Input", tokens: 100n, ratePicoUsd: 2_500_000n, amountPicoUsd: 250_000_000n },
    { kind: "Output", tokens: 7n, ratePicoUsd: 10_000_000n, amountPicoUsd: 70_000_000n },
  ]);
});

test("lists a part with its own rate separately", () => {
  const request = create(LoggedRequestSchema, { promptTokens: 100n, cachedPromptTokens: 60n, cacheWriteTokens: 10n });
  const price = { ...PRICE, cachedInputPicoUsd: 250_000n, cacheWritePicoUsd: 3_000_000n };
  expect(chargeLinesOf(request, price).map(({ kind, tokens }) => [kind, tokens])).toEqual([
    ["Input", 30n],
    ["Cache write", 10n],
    ["Cached input", 60n],
    ["Output", 0n],
  ]);
});

test("adds up to the gateway's charge, whichever parts overlap and whichever rates are missing", () => {
  // Every part is absent, within its whole, or more than what is left of it; every rate is present or not.
  for (let choice = 0; choice < 3 ** 5; choice++) {
    const part = (place: number): bigint | undefined => [undefined, 3n, 97n][Math.floor(choice / 3 ** place) % 3];
    const usage = create(LoggedRequestSchema, {
      promptTokens: 100n,
      completionTokens: 41n,
      ...defined({
        promptAudioTokens: part(0),
        cacheWriteTokens: part(1),
        cachedPromptTokens: part(2),
        completionAudioTokens: part(3),
        reasoningTokens: part(4),
      }),
    });
    for (let rates = 0; rates < 2 ** 5; rates++) {
      const rate = (place: number, pico: bigint): bigint | undefined => ((rates >> place) & 1 ? pico : undefined);
      const price = create(PriceSchema, {
        inputPicoUsd: 2_500_001n,
        outputPicoUsd: 10_000_007n,
        requestPicoUsd: 17n,
        ...defined({
          inputAudioPicoUsd: rate(0, 40_000_003n),
          cacheWritePicoUsd: rate(1, 3_125_001n),
          cachedInputPicoUsd: rate(2, 250_003n),
          outputAudioPicoUsd: rate(3, 80_000_009n),
          reasoningPicoUsd: rate(4, 9_000_001n),
        }),
      });
      expect(chargeSumOf(chargeLinesOf(usage, price), price) * 1_000n).toBe(requestCost(price, usage));
    }
  }
});

function defined(values: Readonly<Record<string, bigint | undefined>>): Readonly<Record<string, bigint | undefined>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
