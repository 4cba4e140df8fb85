import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addToRing,
  emptyRing,
  fromStoredRing,
  type Ring,
  resizeRing,
  ringFreesAt,
  ringSum,
  subtractFromRing,
  toStoredRing,
} from "./bucket-ring.ts";
import { ENDLESS, rollingScale, WINDOW_BUCKETS } from "./scale.ts";

/** Amount and the moment at which it was added, kept to compute exact sums that rings are compared with. */
interface Arrival {
  readonly atMs: number;
  readonly amount: bigint;
}

const START_MS = Date.UTC(2026, 10, 23);
const bucketMs = fc.oneof(fc.constantFrom(10, 600, 36_000, 864_000, 25_920_000), fc.integer({ min: 10, max: 5_000 }));
const amount = fc.bigInt({ min: 0n, max: 50n });

/** Exact sum of the window of `windowMs` that ends now: an amount leaves it to the millisecond. */
function exactSum(log: readonly Arrival[], windowMs: number, nowMs: number): bigint {
  return log.reduce((sum, { atMs, amount }) => (nowMs - atMs < windowMs ? sum + amount : sum), 0n);
}

/** Moments, ascending, with gaps from nothing to more than a window. */
const arrivals = (width: number) => {
  const gap = fc.oneof(fc.nat(3 * width), fc.nat(40 * width), fc.integer({ min: 98 * width, max: 103 * width }));
  return fc.array(fc.tuple(gap, amount), { maxLength: 40 }).map((steps) => {
    let atMs = START_MS;
    return steps.map(([gapMs, each]): Arrival => ({ atMs: (atMs += gapMs), amount: each }));
  });
};

const filled = bucketMs.chain((width) => fc.tuple(fc.constant(width), arrivals(width)));
const counting = (width: number, log: readonly Arrival[]) =>
  log.reduce((ring, each) => addToRing(ring, each.amount, each.atMs, each.atMs), emptyRing(rollingScale(width)));

describe("a ring", () => {
  it("never counts less than the exact rolling sum, and never more than that of a window one bucket longer", () => {
    fc.assert(
      fc.property(filled, fc.nat(120_000), ([width, log], laterShare) => {
        let ring = emptyRing(rollingScale(width));
        const seen: Arrival[] = [];
        const check = (nowMs: number) => {
          const sum = ringSum(ring, nowMs);
          expect(sum).toBeGreaterThanOrEqual(exactSum(seen, WINDOW_BUCKETS * width, nowMs));
          expect(sum).toBeLessThanOrEqual(exactSum(seen, (WINDOW_BUCKETS + 1) * width, nowMs));
        };
        for (const each of log) {
          check(each.atMs);
          ring = addToRing(ring, each.amount, each.atMs, each.atMs);
          seen.push(each);
          check(each.atMs);
        }
        check((log.at(-1)?.atMs ?? START_MS) + Math.round((laterShare * width) / 1_000));
      }),
      { numRuns: 1_000 },
    );
  });

  it("never counts less than the exact sum when amounts are dated up to one bucket ahead", () => {
    fc.assert(
      fc.property(
        filled,
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), amount)),
        ([width, log], ahead) => {
          let ring = emptyRing(rollingScale(width));
          const seen: Arrival[] = [];
          for (const [index, { atMs: nowMs, amount: each }] of log.entries()) {
            const [share = 0, more = 0n] = ahead[index] ?? [];
            const atMs = nowMs + Math.floor(share * width);
            ring = addToRing(addToRing(ring, more, atMs, nowMs), each, nowMs, nowMs);
            seen.push({ atMs, amount: more }, { atMs: nowMs, amount: each });
            expect(ringSum(ring, nowMs)).toBeGreaterThanOrEqual(exactSum(seen, WINDOW_BUCKETS * width, nowMs));
            expect(ringSum(ring, nowMs)).toBeLessThanOrEqual(exactSum(seen, (WINDOW_BUCKETS + 3) * width, nowMs));
            expect(ring.amounts.length).toBeLessThanOrEqual(WINDOW_BUCKETS + 1);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("never exceeds the limit, admits at most 2 % less than an exact limiter, and no less than one with a 1 % longer window", () => {
    const total = { exact: 0, ring: 0 };
    // Arrivals at random: the gaps between them are exponentially distributed.
    const load = fc.record({
      width: fc.constantFrom(10, 600, 36_000),
      limit: fc.integer({ min: 1, max: 200 }),
      /** Arrivals in percent of what the limit admits. */
      pressure: fc.integer({ min: 50, max: 800 }),
      seeds: fc.array(fc.integer({ min: 1, max: 2 ** 31 }), { minLength: 3_000, maxLength: 3_000 }),
    });
    fc.assert(
      fc.property(load, ({ width, limit, pressure, seeds }) => {
        const windowMs = width * WINDOW_BUCKETS;
        let [nowMs, ring] = [START_MS, emptyRing(rollingScale(width))];
        const [byRing, byExact, byLonger]: [Arrival[], Arrival[], Arrival[]] = [[], [], []];
        for (const seed of seeds) {
          nowMs += Math.round((-Math.log(seed / 2 ** 31) * windowMs * 100) / (limit * pressure));
          const arrival = { atMs: nowMs, amount: 1n };
          if (ringSum(ring, nowMs) < BigInt(limit)) {
            ring = addToRing(ring, 1n, nowMs, nowMs);
            byRing.push(arrival);
            expect(exactSum(byRing.slice(-limit - 1), windowMs, nowMs)).toBeLessThanOrEqual(BigInt(limit));
          }
          if (exactSum(byExact.slice(-limit), windowMs, nowMs) < BigInt(limit)) byExact.push(arrival);
          if (exactSum(byLonger.slice(-limit), windowMs * 1.01, nowMs) < BigInt(limit)) byLonger.push(arrival);
          // Holds under every load, at every moment.
          expect(byRing.length).toBeGreaterThanOrEqual(byLonger.length);
        }
        total.ring += byRing.length;
        total.exact += byExact.length;
      }),
      { numRuns: 60, endOnFailure: true },
    );
    expect(total.exact).toBeGreaterThan(20_000);
    expect(total.ring).toBeGreaterThanOrEqual(total.exact * 0.98);
  });

  it("gives to the millisecond when its sum falls to an amount", () => {
    fc.assert(
      fc.property(filled, fc.bigInt({ min: 0n, max: 400n }), ([width, log], atMost) => {
        const ring = counting(width, log);
        const nowMs = log.at(-1)?.atMs ?? START_MS;
        const freesAt = ringFreesAt(ring, atMost, nowMs) ?? expect.fail("never");
        expect(ringSum(ring, freesAt)).toBeLessThanOrEqual(atMost);
        if (freesAt > nowMs) expect(ringSum(ring, freesAt - 1)).toBeGreaterThan(atMost);
      }),
      { numRuns: 1_000 },
    );
    expect(ringFreesAt(counting(10, [{ atMs: START_MS, amount: 1n }]), -1n, START_MS)).toBeUndefined();
  });

  it("subtracts an added amount as if it had never been added", () => {
    fc.assert(
      fc.property(filled, fc.nat(59), ([width, log], nth) => {
        const removed = log[nth];
        if (removed === undefined) return;
        const nowMs = log.at(-1)?.atMs ?? START_MS;
        const rest = log.filter((each) => each !== removed);
        const ring = subtractFromRing(counting(width, log), removed.amount, removed.atMs);
        expect(ringSum(ring, nowMs)).toBe(ringSum(counting(width, rest), nowMs));
      }),
    );
  });

  it("counts a correction in the bucket of its moment, and none whose moment has left the window", () => {
    const ring = addToRing(emptyRing(rollingScale(10)), 5n, 10_000, 10_000);
    const later = addToRing(ring, 3n, 10_000, 10_900);
    expect([ringSum(later, 11_009), ringSum(later, 11_010)]).toEqual([8n, 0n]);
    expect(addToRing(ring, 3n, 10_000, 11_010)).toBe(ring);
  });

  it("never counts less than the exact sum after its window was edited, however often", () => {
    fc.assert(
      fc.property(filled, fc.array(bucketMs, { minLength: 1, maxLength: 3 }), ([width, log], edits) => {
        const nowMs = log.at(-1)?.atMs ?? START_MS;
        const shortest = Math.min(width, ...edits) * WINDOW_BUCKETS;
        const ring = edits.reduce((each, next) => resizeRing(each, rollingScale(next), nowMs), counting(width, log));
        for (const later of [0, 0.2, 0.7, 0.99].map((share) => nowMs + Math.floor(share * shortest))) {
          // Amounts within the shortest window that the ring has had.
          const truth = exactSum(log, shortest, later);
          expect(ringSum(ring, later)).toBeGreaterThanOrEqual(truth);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("keeps its consumption when its window is made longer, shorter, endless and finite again", () => {
    const nowMs = START_MS + 30 * 60_000;
    const hour = counting(36_000, [{ atMs: START_MS, amount: 7n }]);
    const day = resizeRing(hour, rollingScale(864_000), nowMs);
    expect([
      ringSum(day, START_MS + 24 * 3_600_000 - 1),
      ringSum(resizeRing(day, rollingScale(36_000), nowMs), nowMs),
    ]).toEqual([7n, 7n]);
    const endless = resizeRing(day, ENDLESS, nowMs);
    expect(ringSum(endless, Date.UTC(2090, 0, 1))).toBe(7n);
    const again = resizeRing(endless, rollingScale(36_000), nowMs);
    expect([ringSum(again, nowMs + 3_600_000 - 1), ringSum(again, nowMs + 3_640_000)]).toEqual([7n, 0n]);
  });

  it("frees nothing if its window never ends", () => {
    const ring = addToRing(emptyRing(ENDLESS), 5n, START_MS, START_MS);
    expect(ringSum(ring, Date.UTC(2100, 0, 1))).toBe(5n);
    expect([ringFreesAt(ring, 4n, START_MS), ringFreesAt(ring, 5n, START_MS)]).toEqual([undefined, START_MS]);
  });

  it("counts amounts dated after now when the clock was set back, and new ones at least as long as the window", () => {
    const ring = addToRing(emptyRing(rollingScale(10)), 5n, 50_000, 50_000);
    for (const nowMs of [49_999, 49_000, 20_000]) {
      expect(ringSum(ring, nowMs)).toBe(5n);
      const more = addToRing(ring, 2n, nowMs, nowMs);
      expect([ringSum(more, nowMs), ringSum(more, nowMs + 999)]).toEqual([7n, 7n]);
      expect(more.amounts.length).toBeLessThanOrEqual(101);
    }
  });

  it("never holds more than 101 amounts, and survives being stored", () => {
    fc.assert(
      fc.property(filled, ([width, log]) => {
        const ring = counting(width, log);
        expect(ring.amounts.length).toBeLessThanOrEqual(101);
        const stored = fromStoredRing(toStoredRing(ring));
        for (const nowMs of log.map(({ atMs }) => atMs)) expect(ringSum(stored, nowMs)).toBe(ringSum(ring, nowMs));
      }),
    );
    for (const broken of [[], [10n], [10n, -1n], [10n, 1n, -5n], Array.from({ length: 104 }, () => 1n)]) {
      expect(() => fromStoredRing({ numbers: broken, timeZone: undefined })).toThrow("cannot be read");
    }
  });

  it("refuses a negative amount", () => {
    const ring: Ring = emptyRing(rollingScale(10));
    expect(() => addToRing(ring, -1n, 5, 5)).toThrow(RangeError);
    expect(() => subtractFromRing(ring, -1n, 5)).toThrow(RangeError);
  });
});
