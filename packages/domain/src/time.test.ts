import { expect, it } from "vitest";
import { parseTime } from "./time.ts";

it.each([
  ["2026-05-01T00:00:00Z", "2026-05-01T00:00:00.000Z"],
  ["2026-05-01t02:00:00.5+02:00", "2026-05-01T00:00:00.500Z"],
  ["2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59.000Z"],
])("reads %s", (text, iso) => {
  expect(parseTime(text)?.toISOString()).toBe(iso);
});

it.each([
  "2026-05-01T00:00:00",
  "2026-05-01",
  "2026-02-30T00:00:00Z",
  "2025-02-29T00:00:00Z",
  "2026-13-01T00:00:00Z",
  "2026-05-01T24:00:00Z",
  "2026-05-01T00:00:60Z",
  "2026-05-01T00:00:00+25:00",
  "2026-05-01 00:00:00Z",
  "yesterday",
  "",
])("refuses %j", (text) => {
  expect(parseTime(text)).toBeUndefined();
});
