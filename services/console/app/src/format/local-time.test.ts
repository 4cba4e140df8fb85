import { expect, test } from "vitest";
import { fromLocalTime, toLocalTime } from "./local-time.ts";

test.each([
  ["2026-11-30T09:31", "UTC", "2026-11-30T09:31:00.000Z"],
  ["2026-11-30T09:31", "Europe/Berlin", "2026-11-30T08:31:00.000Z"],
  ["2026-07-01T00:00", "Europe/Berlin", "2026-06-30T22:00:00.000Z"],
  ["2026-11-30T00:15", "Asia/Kolkata", "2026-11-29T18:45:00.000Z"],
  ["2026-07-01T00:00", "Asia/Kathmandu", "2026-06-30T18:15:00.000Z"],
  ["2026-01-01T00:00", "Pacific/Kiritimati", "2025-12-31T10:00:00.000Z"],
  ["2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00:00.000Z"],
  ["2026-03-08T03:30", "America/New_York", "2026-03-08T07:30:00.000Z"],
])("reads %s in %s, and writes it", (text, timeZone, moment) => {
  const date = fromLocalTime(text, timeZone);
  expect(date?.toISOString()).toBe(moment);
  expect(toLocalTime(new Date(moment), timeZone)).toBe(text);
});

test("reads the first moment of a time that the clocks show twice, and the hour before a time that they skip", () => {
  const read = (text: string) => fromLocalTime(text, "Europe/Berlin")?.toISOString();
  expect(read("2026-10-25T02:30")).toBe("2026-10-25T00:30:00.000Z");
  expect(read("2026-10-25T12:00")).toBe("2026-10-25T11:00:00.000Z");
  expect(read("2026-03-29T02:30")).toBe("2026-03-29T00:30:00.000Z");
});

test("reads no text in another format, nor a year of which only the last digits are typed", () => {
  for (const text of ["", "2026-11-30", "2026-13-30T09:31", "now", "2026-11-30T09:31Z", "0026-11-30T09:31"]) {
    expect(fromLocalTime(text, "UTC")).toBeUndefined();
  }
});
