import { expect, test } from "vitest";
import { formatDuration, formatRelative, formatTime } from "./time.ts";

test("shows a time in a zone, with the offset", () => {
  expect(formatTime(new Date("2026-11-30T08:31:05Z"), "Europe/Berlin")).toBe("2026-11-30 09:31:05 CET");
  expect(formatTime(new Date("2026-11-30T08:31:05Z"), "UTC")).toBe("2026-11-30 08:31:05 UTC");
});

test("shows a time relative to now in its largest unit", () => {
  const now = Date.parse("2026-11-30T08:00:00Z");
  const from = (ms: number): string => formatRelative(new Date(now + ms), now);
  expect([
    from(0),
    from(29_000),
    from(-5_000),
    from(-300_000),
    from(7_200_000),
    from(-86_400_000),
    from(169_200_000),
  ]).toEqual([
    "now",
    "now",
    "5 seconds ago",
    "5 minutes ago",
    "in 2 hours",
    "1 day ago",
    // 47 hours from 08:00 are not tomorrow.
    "in 1 day",
  ]);
});

test("shows durations by their size", () => {
  expect([12.4, 2_400, 185_000].map(formatDuration)).toEqual(["12 ms", "2.4 s", "3 min 5 s"]);
  expect([999.6, 59_960, 119_700].map(formatDuration)).toEqual(["1.0 s", "1 min 0 s", "2 min 0 s"]);
});
