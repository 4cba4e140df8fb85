import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BUDGET_WINDOWS, type BudgetWindow, bucketStart, oldestCountedBucket } from "./window.ts";

const HOUR_MS = 3_600_000;
const DURATION_MS: Record<BudgetWindow, number> = {
  hour: HOUR_MS,
  day: 24 * HOUR_MS,
  week: 7 * 24 * HOUR_MS,
  month: 30 * 24 * HOUR_MS,
  total: Number.POSITIVE_INFINITY,
};
const BUCKET_MS: Record<BudgetWindow, number> = {
  hour: 60_000,
  day: 1_440_000,
  week: 3 * HOUR_MS,
  month: 12 * HOUR_MS,
  total: Number.POSITIVE_INFINITY,
};

const window = fc.constantFrom(...BUDGET_WINDOWS);
const share = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const now = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2100, 0, 1) });

describe("rolling windows", () => {
  it("never count less than what was spent within the window, and at most one bucket's width more", () => {
    const spend = fc.record({ agoShare: fc.oneof(share(0, 1.2), share(0.98, 1.02)), nano: fc.nat(1_000) });
    fc.assert(
      fc.property(window, now, fc.array(spend, { maxLength: 50 }), (each, nowMs, spends) => {
        const span = each === "total" ? nowMs : DURATION_MS[each];
        const at = spends.map(({ agoShare, nano }) => ({ ms: Math.round(nowMs - agoShare * span), nano }));
        const within = (ms: number) => sum(at.filter((one) => one.ms > nowMs - ms));
        const counted = sum(at.filter(({ ms }) => bucketStart(each, ms) >= oldestCountedBucket(each, nowMs)));
        expect(counted).toBeGreaterThanOrEqual(within(DURATION_MS[each]));
        expect(counted).toBeLessThanOrEqual(within(DURATION_MS[each] + BUCKET_MS[each]));
      }),
    );
  });

  it("count at most 64 buckets", () => {
    fc.assert(
      fc.property(window, now, (each, nowMs) => {
        const span = bucketStart(each, nowMs) - oldestCountedBucket(each, nowMs);
        expect(span / BUCKET_MS[each] + 1).toBeLessThanOrEqual(64);
      }),
    );
  });

  it("keep a bucket until all of it is outside, to the millisecond", () => {
    const start = bucketStart("hour", Date.UTC(2026, 10, 23, 12));
    const lastCountedMs = start + 60_000 + HOUR_MS - 1;
    expect(oldestCountedBucket("hour", lastCountedMs)).toBe(start);
    expect(oldestCountedBucket("hour", lastCountedMs + 1)).toBe(start + 60_000);
  });

  it("hold everything ever spent in one bucket for `total`", () => {
    expect(bucketStart("total", Date.UTC(2026, 0, 1))).toBe(bucketStart("total", Date.UTC(2090, 0, 1)));
    expect(oldestCountedBucket("total", Date.UTC(2090, 0, 1))).toBe(bucketStart("total", 0));
  });
});

function sum(spends: readonly { nano: number }[]): number {
  return spends.reduce((total, { nano }) => total + nano, 0);
}
