import { expect, it } from "vitest";
import { ceilToMicroUsd, microToNano, nanoToMicro, picoToNanoCeil } from "./money.ts";

it("rounds up once, to a whole micro-USD, so that sums agree at every edge", () => {
  const costs = [1n, 999n, 1000n, 1001n].map(ceilToMicroUsd);
  expect(costs).toEqual([1000n, 1000n, 1000n, 2000n]);
  const sum = costs.reduce((total, cost) => total + cost);
  expect(nanoToMicro(sum)).toBe(costs.map(nanoToMicro).reduce((total, cost) => total + cost));
});

it("converts between its units exactly", () => {
  expect(microToNano(9_000_000_000_000_000n)).toBe(9_000_000_000_000_000_000n);
  expect(picoToNanoCeil(1n)).toBe(1n);
  expect(picoToNanoCeil(0n)).toBe(0n);
});
