import { describe, expect, test } from "vitest";
import { localDays, misplacedStretches } from "./local-days.ts";
import { roundDays } from "./usage.ts";

const HOUR_MS = 60 * 60 * 1000;

function range(from: string, to: string) {
  return { from: new Date(from), to: new Date(to) };
}

describe("days of a time zone", () => {
  test.each([
    ["Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23],
    ["Europe/Berlin", "2026-03-30T12:00:00Z", "2026-03-29T22:00:00Z", 24],
    ["Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25],
    ["Asia/Kolkata", "2026-05-01T12:00:00Z", "2026-04-30T18:30:00Z", 24],
    ["Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-04T13:00:00Z", 24.5],
    // Midnight does not exist: clocks go from 00:00 to 01:00.
    ["America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", 23],
    // The 30th of December does not exist.
    ["Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", 24],
    ["Pacific/Apia", "2011-12-30T11:00:00Z", "2011-12-30T10:00:00Z", 24],
    ["Africa/Monrovia", "1970-01-02T12:00:00Z", "1970-01-02T00:44:30Z", 24],
  ])("of %s: that of %s begins at %s and has %s hours", (timeZone, moment, start, hours) => {
    const days = localDays(range(moment, moment), timeZone) ?? [];
    const index = days.findIndex((each) => each.getTime() === Date.parse(start));
    const [day, next] = [days[index]?.getTime() ?? 0, days[index + 1]?.getTime() ?? 0];
    expect((next - day) / HOUR_MS).toBe(hours);
    expect(Date.parse(moment)).toBeGreaterThanOrEqual(day);
    expect(Date.parse(moment)).toBeLessThan(next);
  });

  test("cover an hour around the range", () => {
    const days = localDays(range("2026-05-01T22:30:00Z", "2026-05-02T21:30:00Z"), "Europe/Berlin");
    expect(days?.map((start) => start.toISOString().slice(0, 13))).toEqual([
      "2026-04-30T22",
      "2026-05-01T22",
      "2026-05-02T22",
      "2026-05-03T22",
    ]);
  });

  test.each([
    ["", "2026-05-01T00:00:00Z"],
    ["UTC", "2026-05-01T00:00:00Z"],
    ["Africa/Abidjan", "2026-05-01T00:00:00Z"],
    // An hour ahead only in summer.
    ["Europe/London", "2026-12-01T00:00:00Z"],
  ])("of '%s' from %s are those of UTC", (timeZone, from) => {
    expect(
      localDays({ from: new Date(from), to: new Date(Date.parse(from) + 48 * HOUR_MS) }, timeZone),
    ).toBeUndefined();
  });

  test("are refused for an unknown time zone, and if there are more than 10,000", () => {
    const years = range("2000-01-01T00:00:00Z", "2027-05-20T00:00:00Z");
    for (const name of ["Mars/Base", "Europe/Berlin'", "a".repeat(64)]) {
      expect(() => localDays(years, name)).toThrow("time_zone: must be the name of a time zone");
    }
    expect(localDays({ ...years, to: new Date("2027-05-01T00:00:00Z") }, "Europe/Berlin")?.length).toBeGreaterThan(
      9_900,
    );
    expect(() => localDays(years, "Europe/Berlin")).toThrow(
      "time_zone: is not taken for a range of more than 10000 days",
    );
  });
});

describe("rows whose sums are counted in an adjacent day", () => {
  const stretchesOf = (timeZone: string, from: string, to: string) => {
    const hours = range(from, to);
    const days = localDays(hours, timeZone) ?? [];
    return misplacedStretches(days, roundDays(days, "hour"), hours).map(({ day, wrongDay, ...stretch }) =>
      [stretch.from, stretch.to, day, wrongDay].map((time) => time.toISOString().slice(5, 16)),
    );
  };

  test("are those between the start of a day and the nearest hour, also at the ends of the sums", () => {
    // Begins at 18:30, which is rounded up: the rows are in sums of the day before.
    expect(stretchesOf("Asia/Kolkata", "2026-05-01T18:00:00Z", "2026-05-01T19:00:00Z")).toEqual([
      ["05-01T18:30", "05-01T19:00", "05-01T18:30", "04-30T18:30"],
    ]);
    // Begins at 18:15, which is rounded down: the rows are in sums of the day after.
    expect(stretchesOf("Asia/Kathmandu", "2026-05-01T18:00:00Z", "2026-05-01T19:00:00Z")).toEqual([
      ["05-01T18:00", "05-01T18:15", "04-30T18:15", "05-01T18:15"],
    ]);
    expect(stretchesOf("Asia/Kathmandu", "2026-05-01T19:00:00Z", "2026-05-02T18:00:00Z")).toEqual([]);
    expect(stretchesOf("Europe/Berlin", "2026-05-01T19:00:00Z", "2026-05-05T18:00:00Z")).toEqual([]);
  });
});
