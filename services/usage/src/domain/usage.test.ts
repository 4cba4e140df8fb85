import { describe, expect, test } from "vitest";
import { usageRange } from "./usage.ts";

describe("usageRange", () => {
  const clock = () => Date.parse("2026-11-20T12:00:00Z");
  const time = (text: string) => new Date(text);

  test("is 30 days up to now by default, and 30 days up to `to` without `from`", () => {
    expect(usageRange(undefined, undefined, clock)).toEqual({
      from: time("2026-10-21T12:00:00Z"),
      to: time("2026-11-20T12:00:00Z"),
    });
    expect(usageRange(undefined, time("2026-01-31T00:00:00Z"), clock).from).toEqual(time("2026-01-01T00:00:00Z"));
    expect(usageRange(time("2026-11-01T00:00:00Z"), undefined, clock).to.getTime()).toBe(clock());
  });

  test.each([
    ["after", "2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z"],
    ["equal to", "2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"],
  ])("refuses a from that is %s to, naming the field", (_, from, to) => {
    const range = () => usageRange(time(from), time(to), clock);
    expect(range).toThrow(expect.objectContaining({ fields: [{ field: "from", rule: "must be before to" }] }));
  });

  test("refuses times that RFC 3339 cannot write", () => {
    expect(() => usageRange(new Date(8.64e15), undefined, clock)).toThrow("from: must be a time in the years");
    expect(() => usageRange(undefined, new Date(Number.NaN), clock)).toThrow("to: must be a time in the years");
  });
});
