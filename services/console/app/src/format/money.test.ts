import { expect, test } from "vitest";
import { countOf, formatCount, formatPicoUsd, formatShortCount, formatShortUsd, formatUsd } from "./money.ts";

test("shows every micro-USD, and at least cents", () => {
  expect([0n, 12n, 5_000_000n, 1_200_000_000n, 1_234_567n, -50_000n].map(formatUsd)).toEqual([
    "$0.00",
    "$0.000012",
    "$5.00",
    "$1,200.00",
    "$1.234567",
    "-$0.05",
  ]);
});

test("shows every pico-USD", () => {
  expect([0n, 150_000_000_000n, 375_000n, 1_250_000_000_000_000n].map(formatPicoUsd)).toEqual([
    "$0.00",
    "$0.15",
    "$0.000000375",
    "$1,250.00",
  ]);
});

test("counts one thing in the singular", () => {
  expect([0, 1, 1n, 1_200].map((count) => countOf(count, "request"))).toEqual([
    "0 requests",
    "1 request",
    "1 request",
    "1,200 requests",
  ]);
});

test("separates thousands", () => {
  expect(formatCount(9_007_199_254_740_993n)).toBe("9,007,199,254,740,993");
});

test("rounds amounts and counts on axes to three digits", () => {
  expect([0, 4_500, 1_230_000_000].map(formatShortUsd)).toEqual(["$0", "$0.0045", "$1.23K"]);
  expect([0, 999, 1_234_567].map(formatShortCount)).toEqual(["0", "999", "1.23M"]);
});
