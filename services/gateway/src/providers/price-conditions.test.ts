import type { ConditionalPrice } from "@pydantic/genai-prices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { periodAt } from "./price-conditions.ts";

type Condition = ConditionalPrice["constraint"];

const from = (start_date: string): Condition => ({ type: "start_date", start_date });
const daily = (start_time: string, end_time: string): Condition => ({ type: "time_of_date", start_time, end_time });
/** Entries whose input costs their number, from 1. */
const entries = (...conditions: readonly Condition[]): ConditionalPrice[] =>
  conditions.map((constraint, index) => {
    const prices = { input_mtok: index + 1 };
    return constraint === undefined ? { prices } : { prices, constraint };
  });
const numberAt = (prices: ConditionalPrice[], time: string): unknown =>
  periodAt(prices, Date.parse(time)).price?.["input_mtok"];

describe("prices with conditions", () => {
  it("begin at midnight UTC of their date, to the millisecond", () => {
    const prices = entries(undefined, from("2026-03-13"), from("2027-01-01"));
    expect(numberAt(prices, "2026-03-12T23:59:59.999Z")).toBe(1);
    expect(numberAt(prices, "2026-03-13T00:00:00Z")).toBe(2);
    expect(numberAt(prices, "2026-12-31T23:59:59.999Z")).toBe(2);
    expect(numberAt(prices, "2027-01-01T00:00:00Z")).toBe(3);
    expect(numberAt(prices, "2027-01-01T00:59:59.999+01:00")).toBe(2);
  });

  it.each([
    ["within a day", daily("00:30:00Z", "16:30:00Z"), "00:30:00Z", "16:30:00Z"],
    ["over midnight", daily("16:30:00Z", "00:30:00Z"), "16:30:00Z", "00:30:00Z"],
    ["with an offset", daily("08:30:00+08:00", "00:30:00+08:00"), "00:30:00Z", "16:30:00Z"],
    ["with an offset to the west", daily("19:30:00-05:00", "11:30:00.000-05:00"), "00:30:00Z", "16:30:00Z"],
  ])("apply from their first time of day until just before the second: %s", (_, condition, start, end) => {
    const prices = entries(undefined, condition);
    const justBefore = (time: string): string => new Date(Date.parse(`2026-11-29T${time}`) - 1).toISOString();
    expect(numberAt(prices, `2026-11-29T${start}`)).toBe(2);
    expect(numberAt(prices, justBefore(start))).toBe(1);
    expect(numberAt(prices, justBefore(end))).toBe(2);
    expect(numberAt(prices, `2026-11-29T${end}`)).toBe(1);
  });

  it("are the last of those whose condition holds", () => {
    const prices = entries(
      undefined,
      from("2026-08-17"),
      daily("01:00:00Z", "04:00:00Z"),
      daily("06:00:00Z", "10:00:00Z"),
    );
    expect(numberAt(prices, "2026-08-16T05:00:00Z")).toBe(1);
    expect(numberAt(prices, "2026-08-16T01:00:00Z")).toBe(3);
    expect(numberAt(prices, "2026-08-17T05:00:00Z")).toBe(2);
    expect(numberAt(prices, "2026-08-17T09:59:59.999Z")).toBe(4);
  });

  it("are not known where no condition holds, and where a later one is of an unknown kind", () => {
    expect(numberAt(entries(from("2027-01-01")), "2026-12-31T00:00:00Z")).toBeUndefined();
    const weekly = JSON.parse('{"type":"day_of_week","day":"sunday"}') as Condition;
    for (const unknown of [weekly, from("soon"), daily("25:00:00Z", "26:00:00Z"), daily("noon", "01:00:00Z")]) {
      expect(numberAt(entries(undefined, unknown), "2026-12-31T00:00:00Z")).toBeUndefined();
      expect(numberAt(entries(unknown, from("2026-01-01")), "2026-12-31T00:00:00Z")).toBe(2);
    }
  });

  it("do not change within their period, and do so or may do so at its ends", () => {
    const moment = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2028, 0, 1) });
    const minutes = fc.nat(24 * 60 - 1).map((all) => new Date(all * 60_000).toISOString().slice(11, 19));
    const condition = fc.oneof(
      moment.map((ms) => from(new Date(ms).toISOString().slice(0, 10))),
      fc.tuple(minutes, minutes).map(([start, end]) => daily(`${start}Z`, `${end}Z`)),
    );
    fc.assert(
      fc.property(
        fc.array(condition, { maxLength: 4 }),
        moment,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, atMs, share) => {
          const prices = entries(undefined, ...all);
          const { price, fromMs, untilMs } = periodAt(prices, atMs);
          expect(fromMs <= atMs && atMs < untilMs).toBe(true);
          const [first, last] = [Math.max(fromMs, Date.UTC(2025, 0, 1)), Math.min(untilMs, Date.UTC(2029, 0, 1)) - 1];
          for (const otherMs of [first, last, Math.floor(first + (last - first) * share)]) {
            expect(periodAt(prices, otherMs)).toEqual({ price, fromMs, untilMs });
          }
        },
      ),
    );
  });

  it("without conditions never change", () => {
    expect(periodAt({ input_mtok: 1 }, 0)).toEqual({ price: { input_mtok: 1 }, fromMs: -Infinity, untilMs: Infinity });
  });
});
