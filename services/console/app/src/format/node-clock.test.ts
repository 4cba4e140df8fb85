import { afterEach, expect, test, vi } from "vitest";
import { learnNodeTime, nodeNow } from "./node-clock.ts";

const HOUR_MS = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
  learnNodeTime(new Date().toUTCString());
});

test("keeps the time of the node, whether the browser's clock is ahead or behind", () => {
  for (const differenceMs of [-3 * HOUR_MS, 3 * HOUR_MS]) {
    vi.useFakeTimers({ now: Date.parse("2026-11-30T12:00:00Z") + differenceMs });
    learnNodeTime("Mon, 30 Nov 2026 12:00:00 GMT");
    vi.advanceTimersByTime(90_000);
    expect(new Date(nodeNow()).toISOString()).toBe("2026-11-30T12:01:30.000Z");
  }
});

test("takes a difference of a few seconds for network delay, and ignores an invalid time", () => {
  vi.useFakeTimers({ now: Date.parse("2026-11-30T12:00:03.250Z") });
  learnNodeTime("Mon, 30 Nov 2026 12:00:00 GMT");
  for (const text of [null, "", "yesterday"]) learnNodeTime(text);
  expect(nodeNow()).toBe(Date.now());
});
