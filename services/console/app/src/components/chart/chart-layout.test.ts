import { expect, test } from "vitest";
import { labelledBuckets, layOutColumns, valueTicks } from "./chart-layout.ts";
import { toSeries } from "./series.ts";
import { timeBuckets } from "./time-buckets.ts";

test("puts the lines of an axis at round whole numbers that cover the maximum", () => {
  expect(valueTicks(0n, 4)).toEqual([0]);
  expect(valueTicks(1n, 4)).toEqual([0, 1]);
  expect(valueTicks(286n, 4)).toEqual([0, 100, 200, 300]);
  expect(valueTicks(50_000_000n, 4)).toEqual([0, 20_000_000, 40_000_000, 60_000_000]);
  expect(valueTicks(401n, 4)).toEqual([0, 200, 400, 600]);
  for (let max = 1; max < 3_000; max += 7) {
    const ticks = valueTicks(BigInt(max), 4);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(max);
    expect(ticks.length).toBeLessThanOrEqual(5);
  }
});

test("stacks the series of a bucket from the bottom of the area, without gaps", () => {
  const series = toSeries(
    [
      { id: "a", bucket: 0, value: 60n },
      { id: "b", bucket: 0, value: 20n },
    ],
    2,
  );
  const [first, second] = layOutColumns(series, 2, { left: 10, top: 5, width: 100, height: 200 }, 100);
  expect(first).toMatchObject({ left: 10, width: 50, barLeft: 15, barWidth: 40 });
  expect(first?.segments).toEqual([
    { series: 0, y: 85, height: 120 },
    { series: 1, y: 45, height: 40 },
  ]);
  expect(second).toMatchObject({ left: 60, segments: [] });
});

test("shows an amount that is too small for the scale", () => {
  const series = toSeries([{ id: "a", bucket: 0, value: 1n }], 1);
  const [column] = layOutColumns(series, 1, { left: 0, top: 0, width: 10, height: 100 }, 1e15);
  expect(column?.segments[0]?.height).toBe(1.5);
});

test("labels hours at steps that divide a day evenly, from midnight on", () => {
  const buckets = timeBuckets(
    { from: new Date("2026-11-29T21:00:00Z"), to: new Date("2026-11-30T21:00:00Z") },
    "hour",
    "UTC",
  );
  const ticks = labelledBuckets(buckets, 15, 60).map((index) => buckets[index]?.tick);
  expect(ticks).toEqual(["30 Nov", "04:00", "08:00", "12:00", "16:00", "20:00"]);
});

test("labels days so that labels do not touch", () => {
  const buckets = timeBuckets({ from: new Date("2026-09-01Z"), to: new Date("2026-11-30Z") }, "day", "UTC");
  expect(labelledBuckets(buckets, 100, 60)).toHaveLength(90);
  expect(labelledBuckets(buckets, 3.5, 60)).toEqual([0, 30, 60]);
});
