import { describe, expect, it } from "vitest";
import { formatDuration, limitHeaders } from "./limit-headers.ts";

describe("headers of limits", () => {
  it("are there for the limits that apply, and for no others", () => {
    const requests = { limit: 60, remaining: 59, resetsAt: new Date(61_500) };
    expect(limitHeaders({ requests, tokens: undefined }, 1_000)).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "59",
      "x-ratelimit-reset-requests": "1m0.5s",
    });
    expect(limitHeaders({ requests: undefined, tokens: undefined }, 0)).toEqual({});
  });

  it("have what remains of the tightest budget, also if that is nothing", () => {
    const left = (budgetRemainingMicroUsd: number) =>
      limitHeaders({ requests: undefined, tokens: undefined, budgetRemainingMicroUsd }, 0);
    expect(left(4_999_988)).toEqual({ "x-routeplane-budget-remaining-micro-usd": "4999988" });
    expect(left(0)).toEqual({ "x-routeplane-budget-remaining-micro-usd": "0" });
  });

  it.each([
    [-5, "0s"],
    [0, "0s"],
    [86, "86ms"],
    [999.2, "1s"],
    [8_640, "8.64s"],
    [432_000, "7m12s"],
    [7_205_000, "2h0m5s"],
    [2_592_000_000, "720h0m0s"],
  ])("write %d ms as %s", (ms, text) => expect(formatDuration(ms)).toBe(text));
});
