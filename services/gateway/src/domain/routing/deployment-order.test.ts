import fc from "fast-check";
import { expect, it } from "vitest";
import { weightedOrder } from "./deployment-order.ts";

/** Generator of numbers in [0, 1) that is the same in every run. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

it("puts each deployment first in proportion to its weight, and the rest by theirs", () => {
  const random = seeded();
  const counts = new Map<string, number>();
  for (let request = 0; request < 20_000; request++) {
    const order = weightedOrder([{ weight: 1 }, { weight: 2 }, { weight: 5 }], random);
    const [first, second] = order.map(({ weight }) => weight);
    for (const name of [`${first}`, `${first}>${second}`]) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const shareOf = (name: string) => (counts.get(name) ?? 0) / 20_000;
  expect(shareOf("1")).toBeCloseTo(1 / 8, 1.5);
  expect(shareOf("2")).toBeCloseTo(2 / 8, 1.5);
  expect(shareOf("5")).toBeCloseTo(5 / 8, 1.5);
  expect(shareOf("5>2")).toBeCloseTo((5 / 8) * (2 / 3), 1.5);
});

it("has every deployment once, whatever is drawn", () => {
  const draws = fc.array(fc.constantFrom(0, 0.5, 1 - 2 ** -53), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(draws, (drawn) => {
      let at = 0;
      const deployments = [1, 1_000, 3, 7].map((weight) => ({ weight }));
      const order = weightedOrder(deployments, () => drawn[at++] ?? 0);
      expect(new Set(order)).toEqual(new Set(deployments));
      expect(order).toHaveLength(4);
    }),
  );
});
