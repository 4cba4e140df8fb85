import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pendingRequest, settledRequest } from "../../test/requests.ts";
import { addLatencies, firstTokenCellOf, type LatencyHistogram, quantilesOf, totalCellOf } from "./latency.ts";

/** Request that took `ms`, with its first output after a tenth of that time. */
const lasting = (ms: number) => {
  const pending = pendingRequest();
  const receipt = { ...pending.receipt, timeToFirstTokenMs: Math.floor(ms / 10) };
  return settledRequest(pending, { completedAt: new Date(pending.createdAt.getTime() + ms), receipt });
};

function histogramOf(latenciesMs: readonly number[]): LatencyHistogram {
  const cells = latenciesMs.map((ms) => totalCellOf(lasting(ms)) ?? 0);
  const counts = Array.from({ length: Math.max(...cells) + 1 }, () => 0);
  for (const cell of cells) counts[cell] = (counts[cell] ?? 0) + 1;
  return counts;
}

/** Arbitrary latency from a millisecond to a day, evenly by order of magnitude. */
const latency = fc.double({ min: 0, max: Math.log(86_400_000), noNaN: true }).map((log) => Math.round(Math.exp(log)));

describe("quantiles of latencies", () => {
  test("are within 5 % and half a millisecond of the nearest rank, also for histograms that were added up", () => {
    fc.assert(
      fc.property(fc.array(latency, { minLength: 1, maxLength: 300 }), fc.nat(), (latencies, cut) => {
        const sorted = latencies.toSorted((left, right) => left - right);
        const parts = [latencies.slice(0, cut % latencies.length), latencies.slice(cut % latencies.length)];
        const [left = [], right = []] = parts.map((part) => (part.length === 0 ? [] : histogramOf(part)));
        const { total, firstToken } = addLatencies({ total: left, firstToken: [] }, { total: right, firstToken: left });
        const quantiles = quantilesOf(total);
        expect(quantiles?.requestCount).toBe(latencies.length);
        expect(quantilesOf(firstToken)).toEqual(quantilesOf(left));
        for (const [share, ms = 0] of [
          [0.5, quantiles?.p50Ms],
          [0.95, quantiles?.p95Ms],
          [0.99, quantiles?.p99Ms],
        ] as const) {
          const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
          expect(Math.abs(ms - exact)).toBeLessThanOrEqual(0.05 * exact + 0.5);
        }
      }),
    );
  });

  test("are unknown without requests, and bounded for the shortest and longest ones", () => {
    expect(quantilesOf([])).toBeUndefined();
    expect(quantilesOf([0, 0])).toBeUndefined();
    expect(quantilesOf(histogramOf([0]))).toEqual({ requestCount: 1, p50Ms: 1, p95Ms: 1, p99Ms: 1 });
    expect(totalCellOf(lasting(30 * 86_400_000))).toBe(totalCellOf(lasting(90_000_000)));
  });

  test("count requests that ended, except denied and unknown ones", () => {
    const pending = pendingRequest();
    for (const status of ["succeeded", "failed", "cancelled"] as const) {
      expect(totalCellOf(settledRequest(pending, { status }))).toBeDefined();
      expect(firstTokenCellOf(settledRequest(pending, { status }))).toBeDefined();
    }
    for (const request of [
      pending,
      settledRequest(pending, { status: "denied" }),
      settledRequest(pending, { status: "unknown" }),
    ]) {
      expect([totalCellOf(request), firstTokenCellOf(request)]).toEqual([undefined, undefined]);
    }
    const receipt = { ...pending.receipt, timeToFirstTokenMs: undefined };
    expect(firstTokenCellOf(settledRequest(pending, { receipt }))).toBeUndefined();
  });
});
