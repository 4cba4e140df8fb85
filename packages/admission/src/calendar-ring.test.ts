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
import { type CalendarScale, ENDLESS, rollingScale } from "./scale.ts";

interface Arrival {
  readonly atMs: number;
  readonly amount: bigint;
}

const HOUR_MS = 3_600_000;
const TIME_ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Antarctica/Troll"];

const scales = fc.record({
  kind: fc.constantFrom("calendar_day" as const, "calendar_month" as const),
  timeZone: fc.constantFrom(...TIME_ZONES),
});

/** Moments of a year, ascending, with gaps from nothing to more than a month. */
const arrivals = fc
  .array(
    fc.tuple(
      fc.oneof(fc.nat(HOUR_MS), fc.nat(30 * HOUR_MS), fc.nat(40 * 24 * HOUR_MS)),
      fc.bigInt({ min: 0n, max: 50n }),
    ),
    { maxLength: 30 },
  )
  .map((steps) => {
    let atMs = Date.UTC(2026, 0, 1);
    return steps.map(([gapMs, amount]): Arrival => ({ atMs: (atMs += gapMs), amount }));
  });

const DATES = new Map(TIME_ZONES.map((timeZone) => [timeZone, new Intl.DateTimeFormat("sv-SE", { timeZone })]));

/** Local date or month in the time zone, from another formatter than the ring's. */
function periodOf({ kind, timeZone }: CalendarScale, ms: number): string {
  const date = DATES.get(timeZone)?.format(ms) ?? "";
  return kind === "calendar_day" ? date : date.slice(0, 7);
}

function exactSum(log: readonly Arrival[], scale: CalendarScale, nowMs: number): bigint {
  const now = periodOf(scale, nowMs);
  return log.reduce((sum, { atMs, amount }) => (periodOf(scale, atMs) === now ? sum + amount : sum), 0n);
}

const counting = (scale: CalendarScale, log: readonly Arrival[]): Ring =>
  log.reduce((ring, { atMs, amount }) => addToRing(ring, amount, atMs, atMs), emptyRing(scale));

const at = (text: string): number => Date.parse(text);

describe("a ring of a calendar window", () => {
  it("counts exactly what was added on the present day, or in the present month, of its time zone", () => {
    fc.assert(
      fc.property(scales, arrivals, fc.nat(50 * 24 * HOUR_MS), (scale, log, laterMs) => {
        let ring = emptyRing(scale);
        const seen: Arrival[] = [];
        for (const each of log) {
          expect(ringSum(ring, each.atMs)).toBe(exactSum(seen, scale, each.atMs));
          ring = addToRing(ring, each.amount, each.atMs, each.atMs);
          seen.push(each);
          expect(ringSum(ring, each.atMs)).toBe(exactSum(seen, scale, each.atMs));
          expect(ring.amounts.length).toBeLessThanOrEqual(32);
        }
        const nowMs = (log.at(-1)?.atMs ?? 0) + laterMs;
        expect(ringSum(ring, nowMs)).toBe(exactSum(seen, scale, nowMs));
        expect(ringSum(fromStoredRing(toStoredRing(ring)), nowMs)).toBe(ringSum(ring, nowMs));
      }),
      { numRuns: 500 },
    );
  });

  it("frees all that it counts at the first moment of the next day or month", () => {
    fc.assert(
      fc.property(scales, arrivals, (scale, log) => {
        const ring = counting(scale, log);
        const nowMs = log.at(-1)?.atMs ?? 0;
        const sum = ringSum(ring, nowMs);
        if (sum === 0n) return;
        for (const atMost of [0n, sum - 1n]) {
          const freesAt = ringFreesAt(ring, atMost, nowMs) ?? expect.fail("never");
          expect([ringSum(ring, freesAt - 1), ringSum(ring, freesAt)]).toEqual([sum, 0n]);
          expect(periodOf(scale, freesAt)).not.toBe(periodOf(scale, freesAt - 1));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("begins at midnight of its time zone, also on a day of 23 or 25 hours", () => {
    const scale: CalendarScale = { kind: "calendar_day", timeZone: "Europe/Berlin" };
    for (const [start, end] of [
      ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"],
      ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
    ] as const) {
      const ring = counting(scale, [{ atMs: at(start), amount: 3n }]);
      expect([ringSum(ring, at(end) - 1), ringSum(ring, at(end))]).toEqual([3n, 0n]);
      const before = counting(scale, [{ atMs: at(start) - 1, amount: 3n }]);
      expect(ringSum(before, at(start))).toBe(0n);
    }
  });

  it("keeps its consumption when its window is edited, to a day, a month, a rolling window, no end and another time zone", () => {
    const nowMs = at("2026-11-20T12:00:00Z");
    const month = counting({ kind: "calendar_month", timeZone: "UTC" }, [
      { atMs: at("2026-10-31T23:59:59Z"), amount: 1n },
      { atMs: at("2026-11-02T00:00:00Z"), amount: 2n },
      { atMs: at("2026-11-20T01:00:00Z"), amount: 4n },
    ]);
    const day = resizeRing(month, { kind: "calendar_day", timeZone: "UTC" }, nowMs);
    expect([ringSum(month, nowMs), ringSum(day, nowMs)]).toEqual([6n, 4n]);
    // The days before are kept.
    expect(ringSum(resizeRing(day, { kind: "calendar_month", timeZone: "UTC" }, nowMs), nowMs)).toBe(6n);
    // Each day counts as if all of it had come at its end.
    expect(ringSum(resizeRing(month, rollingScale(25_920_000), nowMs), nowMs)).toBe(7n);
    expect(ringSum(resizeRing(month, ENDLESS, nowMs), nowMs)).toBe(7n);
    const rolling = resizeRing(
      resizeRing(day, rollingScale(864_000), nowMs),
      { kind: "calendar_day", timeZone: "UTC" },
      nowMs,
    );
    expect(ringSum(rolling, nowMs)).toBe(4n);
    const tokyo = resizeRing(month, { kind: "calendar_month", timeZone: "Asia/Tokyo" }, nowMs);
    // The last day of October in UTC ends in November in Tokyo.
    expect(ringSum(tokyo, nowMs)).toBe(7n);
    const dayInTokyo = resizeRing(month, { kind: "calendar_day", timeZone: "Asia/Tokyo" }, nowMs);
    expect(ringSum(dayInTokyo, nowMs)).toBe(4n);
    expect(ringSum(resizeRing(dayInTokyo, { kind: "calendar_month", timeZone: "UTC" }, nowMs), nowMs)).toBe(7n);
  });

  it("counts never less than the exact sum after its time zone was edited", () => {
    fc.assert(
      fc.property(scales, scales, arrivals, (before, after, log) => {
        const nowMs = log.at(-1)?.atMs ?? 0;
        const kept =
          before.kind === "calendar_month"
            ? log
            : log.filter(({ atMs }) => periodOf(before, atMs) === periodOf(before, nowMs));
        const truth = exactSum(kept, after, nowMs);
        expect(ringSum(resizeRing(counting(before, log), after, nowMs), nowMs)).toBeGreaterThanOrEqual(truth);
      }),
      { numRuns: 500 },
    );
  });

  it("subtracts an amount from its day, and counts amounts dated after now when the clock was set back", () => {
    const scale: CalendarScale = { kind: "calendar_month", timeZone: "Asia/Tokyo" };
    const ring = counting(scale, [
      { atMs: at("2026-11-02T00:00:00Z"), amount: 2n },
      { atMs: at("2026-11-20T00:00:00Z"), amount: 4n },
    ]);
    expect(ringSum(subtractFromRing(ring, 2n, at("2026-11-02T14:59:59Z")), at("2026-11-20T00:00:00Z"))).toBe(4n);
    expect(ringSum(subtractFromRing(ring, 2n, at("2026-11-02T15:00:00Z")), at("2026-11-20T00:00:00Z"))).toBe(6n);
    const back = at("2026-10-20T00:00:00Z");
    const more = addToRing(ring, 1n, back, back);
    expect([ringSum(more, back), ringSum(more, at("2026-10-31T14:59:59Z"))]).toEqual([7n, 7n]);
  });

  it("is stored with the first moment of its newest day, and is read after that moment has moved by an hour", () => {
    const ring = counting({ kind: "calendar_day", timeZone: "Europe/Berlin" }, [
      { atMs: at("2026-05-01T10:00:00Z"), amount: 5n },
    ]);
    const stored = toStoredRing(ring);
    expect(stored).toEqual({ numbers: [1n, BigInt(at("2026-04-30T22:00:00Z")), 5n], timeZone: "Europe/Berlin" });
    for (const movedMs of [-HOUR_MS, HOUR_MS]) {
      const [scale = 0n, start = 0n, ...amounts] = stored.numbers;
      const moved = { ...stored, numbers: [scale, start + BigInt(movedMs), ...amounts] };
      expect(fromStoredRing(moved)).toEqual(ring);
    }
    expect(fromStoredRing(toStoredRing(emptyRing(ring.scale)))).toMatchObject({ scale: ring.scale, amounts: [] });
  });

  it.each([
    ["without its time zone", [1n, 0n, 5n], undefined],
    ["of an unknown time zone", [2n, 0n, 5n], "Mars/Olympus"],
    ["with a negative amount", [1n, 0n, -5n], "UTC"],
    ["of more days than a month has", [2n, 0n, ...Array.from({ length: 33 }, () => 1n)], "UTC"],
    ["of two times without an end", [0n, 0n, 1n, 1n], undefined],
  ])("%s cannot be read", (_, numbers, timeZone) => {
    expect(() => fromStoredRing({ numbers, timeZone })).toThrow("cannot be read");
  });
});
