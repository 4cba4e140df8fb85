import { expect, test } from "vitest";
import { parseUsd, toUsdText } from "./amount.ts";

test("reads amounts as people write them, exactly", () => {
  expect(["25", "$1,200", "0.000012", ".5", " 9000000000 "].map(parseUsd)).toEqual([
    25_000_000n,
    1_200_000_000n,
    12n,
    500_000n,
    9_000_000_000_000_000n,
  ]);
});

test("reads no other text as an amount", () => {
  const texts = ["", "$", ".", "-1", "1e3", "0.0000001", "1.2.3", "one", "1234567890123"];
  expect(texts.map(parseUsd)).toEqual(texts.map(() => undefined));
});

test("writes what it reads, without separators", () => {
  expect(toUsdText(1_200_000_000n)).toBe("1200.00");
  for (const amount of [1n, 12_345_678_901n, 9_000_000_000_000_000n]) expect(parseUsd(toUsdText(amount))).toBe(amount);
});
