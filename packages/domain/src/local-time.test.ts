import { describe, expect, it } from "vitest";
import { isTimeZone, localDayAt, startOfLocalDay } from "./local-time.ts";

const HOUR_MS = 3_600_000;

const dayOf = (date: string): number => Date.parse(date) / (24 * HOUR_MS);

describe("a day of a time zone", () => {
  it.each([
    ["UTC", "2026-05-01", "2026-05-01T00:00:00Z", 24],
    ["Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23],
    ["Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25],
    ["Asia/Kathmandu", "2026-05-01", "2026-04-30T18:15:00Z", 24],
    ["Pacific/Kiritimati", "2026-05-01", "2026-04-30T10:00:00Z", 24],
    ["Antarctica/Troll", "2026-03-29", "2026-03-29T00:00:00Z", 22],
    // Midnight does not exist: clocks go from 00:00 to 01:00.
    ["Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23],
    ["America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z", 23],
    // Clocks are put back at midnight, to 23:00 of the same day.
    ["America/Santiago", "2026-04-04", "2026-04-04T03:00:00Z", 25],
    ["America/Santiago", "2026-04-05", "2026-04-05T04:00:00Z", 24],
    ["Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", 24.5],
  ])("of %s, %s, begins at %s and has %d hours", (timeZone, date, start, hours) => {
    const day = dayOf(date);
    const startMs = Date.parse(start);
    const endMs = startMs + hours * HOUR_MS;
    expect([startOfLocalDay(day, timeZone), startOfLocalDay(day + 1, timeZone)]).toEqual([startMs, endMs]);
    // In another order, because the last day is kept.
    expect([startMs, endMs - 1, startMs - 1, endMs].map((ms) => localDayAt(ms, timeZone))).toEqual([
      day,
      day,
      day - 1,
      day + 1,
    ]);
    expect(startOfLocalDay(day, timeZone)).toBe(startMs);
  });

  it("that a time zone has skipped begins with the next one, and contains no moment", () => {
    const missing = dayOf("2011-12-30");
    const starts = [missing, missing + 1].map((day) => startOfLocalDay(day, "Pacific/Apia"));
    expect(starts).toEqual([Date.parse("2011-12-30T10:00:00Z"), Date.parse("2011-12-30T10:00:00Z")]);
    expect(localDayAt(Date.parse("2011-12-30T10:00:00Z"), "Pacific/Apia")).toBe(missing + 1);
  });

  it("is the same by a name in any case", () => {
    const names = Array.from({ length: 2_100 }, (_, nth) =>
      Array.from("europe/berlin", (char, index) => ((nth >> index) & 1 ? char.toUpperCase() : char)).join(""),
    );
    const day = dayOf("2026-05-01");
    expect(new Set(names.map((name) => startOfLocalDay(day, name)))).toEqual(
      new Set([Date.parse("2026-04-30T22:00:00Z")]),
    );
  });
});

describe("a name", () => {
  it.each(["UTC", "Europe/Berlin", "Asia/Calcutta", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])(
    "%s is that of a time zone",
    (name) => expect(isTimeZone(name)).toBe(true),
  );

  it.each([
    "",
    " ",
    "Mars/Olympus",
    "+02:00",
    "-05",
    "Europe/Berlin ",
    "Europe",
    "GMT+25",
    "Europe/Berlin\0",
    `Europe/${"x".repeat(100)}`,
  ])("%j is none of a time zone", (name) => expect(isTimeZone(name)).toBe(false));

  it("with a look-alike character is not a time zone, even once the real name is known", () => {
    expect(isTimeZone("Asia/Kolkata")).toBe(true);
    expect(isTimeZone("Asia/\u212Aolkata")).toBe(false);
  });
});
