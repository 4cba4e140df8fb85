import { expect, test } from "vitest";
import { shareOf } from "./budget-share.ts";

test("is a percentage within the bar, also after an overrun, and visible unless it is zero", () => {
  expect([shareOf(0n, 100n), shareOf(1n, 9_000_000_000_000_000n), shareOf(1n, 3n), shareOf(7n, 5n)]).toEqual([
    0, 1, 33.33, 100,
  ]);
});
