import { describe, expect, it } from "vitest";
import { BREAKS, explore } from "./session-model.mjs";

const isFull = process.env["ROUTEPLANE_FAULTS"] === "full";
/** Steps of the model with all rules on, and at most with one rule off. */
const STEPS = isFull ? 1_000_000 : 30_000;
const BROKEN_STEPS = 1_000_000;
/** Seeds shortly before the one that finds what is rare. */
const FIRST_SEEDS: Readonly<Record<string, number>> = { clock: 145, left: 101, forget: 671 };

describe("the protocol of gateway sessions, over random interleavings with the slices of this package", () => {
  it("violates no invariant", () => {
    const { steps, requests, found } = explore(STEPS, 1, new Set());
    expect(found).toBeUndefined();
    expect(steps).toBeGreaterThanOrEqual(STEPS);
    expect(requests).toBeGreaterThan(STEPS / 100);
  });

  it.each(Object.entries(BREAKS))("violates one without the rule %s: %s", (rule) => {
    expect(explore(BROKEN_STEPS, FIRST_SEEDS[rule] ?? 1, new Set([rule])).found).toBeDefined();
  });
});
