import { expect, test } from "vitest";
import { parseCount, parseUsd, toUsdText } from "./parse-amount.ts";

test("reads amounts in USD exactly", () => {
  expect(["5", " $0.25 ", "1,000.5", "0.000001", "9999999999", "0"].map(parseUsd)).toEqual([
    5_000_000n,
    250_000n,
    1_000_500_000n,
    1n,
    9_999_999_999_000_000n,
    0n,
  ]);
});

test("refuses amounts that are ambiguous or finer than a micro-USD", () => {
  const texts = ["", "0,25", "1,00", "-5", "5 USD", "1e3", "0.0000001", "5.", ".5", "12,34,567"];
  expect(texts.map(parseUsd)).toEqual(texts.map(() => undefined));
});

test("reads whole numbers", () => {
  expect(["60", " 1,000 ", "999999999999999999"].map(parseCount)).toEqual([60n, 1_000n, 999_999_999_999_999_999n]);
  expect(["", "1.5", "-1", "1,00", "6e1"].map(parseCount)).toEqual(Array.from({ length: 5 }, () => undefined));
});

test("writes amounts as text that a field reads back", () => {
  expect(toUsdText(1_200_000_000n)).toBe("1200.00");
  for (const amount of [1n, 12_345_678_901n, 9_000_000_000_000_000n]) expect(parseUsd(toUsdText(amount))).toBe(amount);
});
