import fc from "fast-check";
import { expect, it } from "vitest";
import { RetryBudget } from "./retry-budget.ts";

function take(budget: RetryBudget, times: number): number {
  return Array.from({ length: times }, () => budget.tryTake()).filter(Boolean).length;
}

it("allows ten retries at first, then one for every ten requests", () => {
  const budget = new RetryBudget(() => 0);
  expect(take(budget, 100)).toBe(10);
  for (let request = 0; request < 29; request++) budget.addRequest();
  expect(take(budget, 100)).toBe(2);
});

it("allows one retry more every ten seconds, and saves up no more than ten", () => {
  let nowMs = 0;
  const budget = new RetryBudget(() => nowMs);
  take(budget, 10);
  nowMs = 9_999;
  expect(take(budget, 5)).toBe(0);
  nowMs = 10_000;
  expect(take(budget, 5)).toBe(1);
  nowMs = 1e9;
  expect(take(budget, 100)).toBe(10);
});

it("never allows more than a tenth of the requests, one in ten seconds and ten, in any order", () => {
  const steps = fc.array(fc.oneof(fc.constant("request" as const), fc.constant("retry" as const), fc.nat(20_000)), {
    maxLength: 400,
  });
  fc.assert(
    fc.property(steps, (taken) => {
      let nowMs = 0;
      let [requests, retries] = [0, 0];
      const budget = new RetryBudget(() => nowMs);
      for (const step of taken) {
        if (typeof step === "number") nowMs += step;
        else if (step === "request") {
          budget.addRequest();
          requests++;
        } else if (budget.tryTake()) retries++;
      }
      expect(retries).toBeLessThanOrEqual(10 + requests / 10 + nowMs / 10_000);
    }),
  );
});
