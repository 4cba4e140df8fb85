import { expect, test } from "vitest";
import { compare } from "./comparison.ts";

test("describes the difference to the previous amount in percent", () => {
  expect(compare(112n, 100n)).toEqual({ direction: "more", text: "12 % more" });
  expect(compare(88n, 100n)).toEqual({ direction: "less", text: "12 % less" });
  expect(compare(1_055n, 1_000n).text).toBe("6 % more");
});

test("does not round a difference to zero", () => {
  expect(compare(100_001n, 100_000n).text).toBe("under 1 % more");
  expect(compare(99_999n, 100_000n).text).toBe("under 1 % less");
  expect(compare(1n, 100_000n).text).toBe("over 99 % less");
});

test("has texts for an amount of zero, before or now", () => {
  expect(compare(0n, 0n)).toEqual({ direction: "same", text: "none before either" });
  expect(compare(5n, 5n)).toEqual({ direction: "same", text: "the same as before" });
  expect(compare(5n, 0n)).toEqual({ direction: "more", text: "none before" });
  expect(compare(0n, 5n)).toEqual({ direction: "less", text: "100 % less" });
});

test("describes large increases as multiples, also for amounts beyond 2^53", () => {
  expect(compare(999n, 100n).text).toBe("899 % more");
  expect(compare(1_000n, 100n).text).toBe("10 times as much");
  expect(compare(9_007_199_254_740_993_000n, 9_007_199_254_740_993n).text).toBe("1000 times as much");
});
