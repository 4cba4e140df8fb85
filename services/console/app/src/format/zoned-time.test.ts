import { expect, test } from "vitest";
import { fromZonedTime } from "./zoned-time.ts";

test("reads a time on the clocks of a time zone", () => {
  const read = (text: string, timeZone: string) => fromZonedTime(text, timeZone)?.toISOString();
  expect(read("2026-11-30T09:30", "UTC")).toBe("2026-11-30T09:30:00.000Z");
  expect(read("2026-11-30T09:30", "Europe/Berlin")).toBe("2026-11-30T08:30:00.000Z");
  expect(read("2026-07-01T00:00", "America/New_York")).toBe("2026-07-01T04:00:00.000Z");
  expect(read("2026-07-01T00:00", "Asia/Kathmandu")).toBe("2026-06-30T18:15:00.000Z");
});

test("takes the first moment of a time that the clocks show twice, and the hour before a time that they skip", () => {
  expect(fromZonedTime("2026-10-25T02:30", "Europe/Berlin")?.toISOString()).toBe("2026-10-25T00:30:00.000Z");
  expect(fromZonedTime("2026-10-25T12:00", "Europe/Berlin")?.toISOString()).toBe("2026-10-25T11:00:00.000Z");
  expect(fromZonedTime("2026-03-29T02:30", "Europe/Berlin")?.toISOString()).toBe("2026-03-29T00:30:00.000Z");
});

test("refuses an invalid time", () => {
  for (const text of ["", "2026-11-30", "tomorrow", "2026-13-01T00:00"])
    expect(fromZonedTime(text, "UTC")).toBeUndefined();
});
