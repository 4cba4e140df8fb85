import { expect, test } from "vitest";
import { bucketIndexOf, bucketUnitOf, MAX_BUCKETS, timeBuckets } from "./time-buckets.ts";

const range = (from: string, to: string) => ({ from: new Date(from), to: new Date(to) });

test("cuts two days into hours, and more into days", () => {
  expect(bucketUnitOf(range("2026-11-28T00:00:00Z", "2026-11-30T00:00:00Z"))).toBe("hour");
  expect(bucketUnitOf(range("2026-11-28T00:00:00Z", "2026-11-30T00:00:01Z"))).toBe("day");
});

test("cuts a range into hours without gaps, with partial hours at its ends", () => {
  const buckets = timeBuckets(range("2026-11-29T22:47:00Z", "2026-11-30T01:10:00Z"), "hour", "UTC");
  expect(buckets.map(({ label }) => label)).toEqual([
    "Sun 29 Nov 2026, 22:47–23:00",
    "Sun 29 Nov 2026, 23:00–00:00",
    "Mon 30 Nov 2026, 00:00–01:00",
    "Mon 30 Nov 2026, 01:00–01:10",
  ]);
  expect(buckets.map(({ tick }) => tick)).toEqual(["22:47", "23:00", "30 Nov", "01:00"]);
  expect(buckets.slice(1).map(({ from }) => from)).toEqual(buckets.slice(0, -1).map(({ to }) => to));
});

test("cuts UTC hours in zones with half-hour offsets too, and labels them in the time of the zone", () => {
  const buckets = timeBuckets(range("2026-11-29T17:30:00Z", "2026-11-29T20:00:00Z"), "hour", "Asia/Kolkata");
  expect(buckets.map(({ from }) => from.toISOString().slice(11, 16))).toEqual(["17:30", "18:00", "19:00"]);
  expect(buckets.map(({ label }) => label.slice(-11))).toEqual(["23:00–23:30", "23:30–00:30", "00:30–01:30"]);
  expect(buckets.map(({ tick }) => tick)).toEqual(["23:00", "23:30", "30 Nov"]);
});

test("cuts days of 23 and 25 hours when the clocks of the zone change", () => {
  const spring = timeBuckets(range("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z"), "day", "Europe/Berlin");
  expect(spring.map(({ from }) => from.toISOString())).toEqual([
    "2026-03-27T23:00:00.000Z",
    "2026-03-28T23:00:00.000Z",
    "2026-03-29T22:00:00.000Z",
  ]);
  const autumn = timeBuckets(range("2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z"), "day", "Europe/Berlin");
  expect(autumn.map(({ label }) => label)).toEqual(["Sun 25 Oct 2026", "Mon 26 Oct 2026"]);
});

test("starts a day without a midnight at its first moment", () => {
  const buckets = timeBuckets(range("2026-09-05T12:00:00Z", "2026-09-06T12:00:00Z"), "day", "America/Santiago");
  expect(buckets.map(({ from }) => from.toISOString())).toEqual([
    "2026-09-05T12:00:00.000Z",
    "2026-09-06T04:00:00.000Z",
  ]);
  expect(buckets.map(({ label }) => label.replace(/^.*\(/, "("))).toEqual(["(from 08:00)", "(until 09:00)"]);
});

test("bounds the buckets of an absurd range", () => {
  expect(timeBuckets(range("0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), "day", "UTC")).toHaveLength(MAX_BUCKETS);
});

test("finds the bucket of a time; for an hour that begins before the range, the first one", () => {
  const buckets = timeBuckets(range("2026-11-30T00:47:00Z", "2026-11-30T04:00:00Z"), "hour", "UTC");
  const indexAt = (time: string): number => bucketIndexOf(buckets, new Date(time));
  expect(["00:00", "01:00", "01:59", "03:00", "09:00"].map((time) => indexAt(`2026-11-30T${time}:00Z`))).toEqual([
    0, 1, 1, 3, 3,
  ]);
});
