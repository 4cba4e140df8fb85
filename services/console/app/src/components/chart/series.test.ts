import { expect, test } from "vitest";
import { type Point, sum, toSeries } from "./series.ts";

test("adds points up to series, the largest first, with empty buckets as zero", () => {
  const points = [
    { id: "a", bucket: 0, value: 1n },
    { id: "b", bucket: 2, value: 5n },
    { id: "a", bucket: 0, value: 2n },
    { id: "none", bucket: 1, value: 0n },
  ];
  expect(toSeries(points, 3, (id) => id.toUpperCase())).toEqual([
    { id: "b", name: "B", values: [0n, 0n, 5n], total: 5n },
    { id: "a", name: "A", values: [3n, 0n, 0n], total: 3n },
  ]);
});

test("joins all series beyond the seventh in a rest, and is exact for amounts beyond 2^53", () => {
  const points: Point[] = Array.from({ length: 12 }, (_, index) => ({
    id: `s${index}`,
    bucket: index % 2,
    value: 9_007_199_254_740_993n + BigInt(index),
  }));
  const series = toSeries(points, 2);
  expect(series.map(({ name }) => name)).toEqual(["s11", "s10", "s9", "s8", "s7", "s6", "s5", "Rest (5)"]);
  expect(series.at(-1)?.id).toBeUndefined();
  expect(sum(series.map(({ total }) => total))).toBe(sum(points.map(({ value }) => value)));
  expect(series.at(-1)?.values).toEqual([9_007_199_254_740_993n * 3n + 6n, 9_007_199_254_740_993n * 2n + 4n]);
});

test("names an eighth series instead of showing a rest of one", () => {
  const points = Array.from({ length: 8 }, (_, index) => ({ id: `s${index}`, bucket: 0, value: 8n - BigInt(index) }));
  expect(toSeries(points, 1).at(-1)).toMatchObject({ id: "s7", name: "s7" });
});

test("adds amounts that were not read separately to the rest, which then exists even with few series", () => {
  const points = [
    { id: undefined, bucket: 1, value: 50n },
    { id: "", bucket: 0, value: 3n },
    { id: undefined, bucket: 0, value: 1n },
  ];
  expect(toSeries(points, 2, (id) => id || "none")).toEqual([
    { id: "", name: "none", values: [3n, 0n], total: 3n },
    { name: "Rest", values: [1n, 50n], total: 51n },
  ]);
  const many = Array.from({ length: 8 }, (_, index) => ({ id: `s${index}`, bucket: 0, value: 8n - BigInt(index) }));
  const notRead = points.filter(({ id }) => id === undefined);
  const series = toSeries([...many, ...notRead], 2);
  expect(series.map(({ name }) => name)).toEqual(["s0", "s1", "s2", "s3", "s4", "s5", "s6", "Rest"]);
  expect(series.at(-1)?.values).toEqual([2n, 50n]);
  // A rest without any amount is left out, too.
  expect(toSeries([{ id: undefined, bucket: 0, value: 0n }, ...many], 1)).toHaveLength(8);
});
