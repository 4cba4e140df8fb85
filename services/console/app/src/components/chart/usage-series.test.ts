import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { UsageGroupSchema } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { timeBuckets } from "./time-buckets.ts";
import { usageSeries } from "./usage-series.ts";

const at = (time: string) => timestampFromDate(new Date(time));
/** Amounts of the bars for one request in a group. */
const valuesOf = (group: object, timeZone: string, unit: "day" | "hour"): readonly (readonly bigint[])[] => {
  const range = { from: new Date("2026-11-29T00:20:00Z"), to: new Date("2026-12-01T00:00:00Z") };
  const groups = [create(UsageGroupSchema, { model: "echo", requestCount: 1n, ...group })];
  const buckets = timeBuckets(range, unit, timeZone);
  const options = { buckets, measure: "requests", idOf: () => "echo", nameOf: (id: string) => id } as const;
  return usageSeries(groups, options).map(({ values }) => values);
};

test.each([
  ["Asia/Kathmandu", "2026-11-29T18:15:00Z"],
  // Read from sums of whole hours: the hour that is nearest to midnight.
  ["Asia/Kathmandu", "2026-11-29T18:00:00Z"],
  ["Asia/Kolkata", "2026-11-29T19:00:00Z"],
])("draws the second day in %s, read as from %s, in the second bar", (timeZone, day) => {
  expect(valuesOf({ day: at(day) }, timeZone, "day")).toEqual([[0n, 1n, 0n]]);
});

test("draws an hour in its bar, also the one that begins before the range", () => {
  const [first] = valuesOf({ hour: at("2026-11-29T00:00:00Z") }, "UTC", "hour");
  const [second] = valuesOf({ hour: at("2026-11-29T01:00:00Z") }, "UTC", "hour");
  expect([first?.indexOf(1n), second?.indexOf(1n)]).toEqual([0, 1]);
});
