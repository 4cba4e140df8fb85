import { describe, expect, it } from "vitest";
import { hasWholeHours, toLocalDays } from "./usage-days.ts";

const group = (hour: string, model: string, spend: number) => ({
  hour: `${hour}:00:00.000Z`,
  model,
  request_count: 1,
  prompt_tokens: 2,
  completion_tokens: 3,
  spend_micro_usd: spend,
  denied_count: 4,
  denied_unlogged_count: 5,
});

describe("days by the clock of a time zone", () => {
  it("begin at its midnight, and add up the hours of each combination", () => {
    const groups = [
      group("2026-05-01T21", "a", 1),
      group("2026-05-01T22", "a", 10),
      group("2026-05-02T03", "b", 500),
      group("2026-05-02T21", "a", 100),
      group("2026-05-02T22", "a", 1_000),
    ];
    const days = toLocalDays(groups, "Europe/Berlin", false);
    expect(days.map(({ day, model, spend_micro_usd }) => [day, model, spend_micro_usd])).toEqual([
      ["2026-04-30T22:00:00.000Z", "a", 1],
      ["2026-05-01T22:00:00.000Z", "b", 500],
      ["2026-05-01T22:00:00.000Z", "a", 110],
      ["2026-05-02T22:00:00.000Z", "a", 1_000],
    ]);
    expect(days[2]).toMatchObject({ request_count: 2, prompt_tokens: 4, completion_tokens: 6, denied_count: 8 });
    expect(days[2]).toMatchObject({ denied_unlogged_count: 10 });
    expect(days.every((day) => !("hour" in day))).toBe(true);
  });

  it("have 23 and 25 hours where clocks change", () => {
    const hours = (start: string, count: number) =>
      Array.from({ length: count }, (_, index) =>
        group(new Date(Date.parse(`${start}:00:00Z`) + index * 3_600_000).toISOString().slice(0, 13), "a", 1),
      );
    const requests = (start: string) =>
      toLocalDays(hours(start, 50), "Europe/Berlin", false).map(({ request_count }) => request_count);
    expect(requests("2026-03-28T23")).toEqual([23, 24, 3]);
    expect(requests("2026-10-24T22")).toEqual([25, 24, 1]);
  });

  it("keep their hours where those are a dimension too", () => {
    const groups = [group("2026-05-01T22", "a", 1), group("2026-05-01T23", "a", 1)];
    expect(toLocalDays(groups, "Europe/Berlin", true).map(({ day, hour }) => [day, hour])).toEqual([
      ["2026-05-01T22:00:00.000Z", "2026-05-01T22:00:00.000Z"],
      ["2026-05-01T22:00:00.000Z", "2026-05-01T23:00:00.000Z"],
    ]);
  });

  it.each([
    ["Europe/Berlin", true],
    ["America/New_York", true],
    ["Asia/Kolkata", false],
    ["Asia/Kathmandu", false],
    // Half an hour ahead in summer alone.
    ["Australia/Lord_Howe", false],
  ])("can be merged from hours in %s: %s", (timeZone, expected) => {
    expect(hasWholeHours(timeZone, 2026)).toBe(expected);
  });
});
