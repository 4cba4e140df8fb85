import { describe, expect, it } from "vitest";
import { expiryArgument, timeZoneArgument, toFutureTime, toPastTime, writtenTimeArgument } from "./written-time.ts";

const NOW = Date.parse("2026-11-30T12:00:00Z");
const past = (text: string, timeZone = "UTC"): string =>
  toPastTime(writtenTimeArgument(text), { now: NOW, timeZone }).toISOString();

describe("a time", () => {
  it.each([
    ["2026-05-01T00:00:00Z", "2026-05-01T00:00:00.000Z"],
    ["2026-05-01T02:00:00+02:00", "2026-05-01T00:00:00.000Z"],
    ["0s", "2026-11-30T12:00:00.000Z"],
    ["90m", "2026-11-30T10:30:00.000Z"],
    ["24h", "2026-11-29T12:00:00.000Z"],
    ["30d", "2026-10-31T12:00:00.000Z"],
    ["2026-11-01", "2026-11-01T00:00:00.000Z"],
    ["1970-01-01", "1970-01-01T00:00:00.000Z"],
    ["9999-12-31", "9999-12-31T00:00:00.000Z"],
  ])("%s is %s", (text, utc) => {
    expect(past(text)).toBe(utc);
  });

  it("of an expiry is in the future if it is a span", () => {
    const written = writtenTimeArgument("30d");
    expect(toFutureTime(written, { now: NOW, timeZone: "UTC" }).toISOString()).toBe("2026-12-30T12:00:00.000Z");
    expect(Math.abs(expiryArgument("1h").getTime() - Date.now() - 3_600_000)).toBeLessThan(10_000);
  });

  it.each([
    ["Europe/Berlin", "2026-11-01", "2026-10-31T23:00:00.000Z"],
    ["America/New_York", "2026-07-04", "2026-07-04T04:00:00.000Z"],
    ["Asia/Kathmandu", "2026-11-01", "2026-10-31T18:15:00.000Z"],
    ["Pacific/Kiritimati", "2026-11-01", "2026-10-31T10:00:00.000Z"],
    ["Pacific/Pago_Pago", "2026-11-01", "2026-11-01T11:00:00.000Z"],
  ])("that is a date begins by the clock of %s: %s is %s", (timeZone, date, utc) => {
    expect(past(date, timeZone)).toBe(utc);
  });

  it.each([
    // The clocks skip 0:00 to 1:00, so the day begins at 1:00.
    ["America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00.000Z"],
    ["Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00.000Z"],
    // The clocks skip the whole day, so its start is the start of the next day.
    ["Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z"],
    // The clocks are put back at midnight, so the hour before it occurs twice.
    ["America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00.000Z"],
  ])("that is a date without a single midnight in %s, %s, is %s", (timeZone, date, utc) => {
    expect(past(date, timeZone)).toBe(utc);
  });

  it.each([
    "2026-05-01T00:00:00",
    "2026-05-01 00:00:00",
    "yesterday",
    "",
    " ",
    "2026-02-30T00:00:00Z",
    "1767225600",
    "2026-02-30",
    "2026-13-01",
    "2026-1-1",
    "1969-12-31",
    "0000-01-01",
    "20260101",
    "-1h",
    "1.5h",
    "24",
    "h",
    "24H",
    "1w",
    "3651d",
    "999999999999s",
    "+1h",
    " 1h",
  ])("is refused as %j, which says how to write one", (text) => {
    expect(() => writtenTimeArgument(text)).toThrow("RFC 3339 time with an offset");
    expect(() => expiryArgument(text)).toThrow("RFC 3339 time with an offset");
  });
});

describe("a time zone", () => {
  it.each(["Europe/Berlin", "UTC", "America/New_York"])("may be %s", (name) => {
    expect(timeZoneArgument(name)).toBe(name);
  });

  it.each(["", "Mars/Base", "Europe/Berlin ", "../etc/passwd", "x".repeat(10_000)])("is refused as %j", (name) => {
    expect(() => timeZoneArgument(name)).toThrow("name of a time zone");
  });
});
