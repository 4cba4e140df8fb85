import { expect, test } from "vitest";
import { rangeBefore, timeRangeOf } from "./time-range.ts";

const NOW = Date.parse("2026-11-30T08:00:30Z");

test("reads a named range up to the end of this minute", () => {
  expect(timeRangeOf({ range: "24h", from: "", to: "" }, NOW)).toEqual({
    from: new Date("2026-11-29T08:01:00Z"),
    to: new Date("2026-11-30T08:01:00Z"),
  });
});

test("reads two times, and the default for an unknown name or times in the wrong order", () => {
  const times = { from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z" };
  expect(timeRangeOf({ range: "", ...times }, NOW).to).toEqual(new Date("2026-11-02T00:00:00Z"));
  const week = timeRangeOf({ range: "7d", from: "", to: "" }, NOW);
  expect(timeRangeOf({ range: "a year", from: times.to, to: times.from }, NOW)).toEqual(week);
  expect(timeRangeOf({ range: "constructor", from: "", to: "" }, NOW)).toEqual(week);
});

test("compares with a range of the same length", () => {
  const range = timeRangeOf({ range: "1h", from: "", to: "" }, NOW);
  expect(rangeBefore(range)).toEqual({ from: new Date("2026-11-30T06:01:00Z"), to: range.from });
});
