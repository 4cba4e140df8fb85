import { describe, expect, it } from "vitest";
import { formatDuration, rateLimitHeaders } from "./rate-limit-headers.ts";

describe("x-ratelimit-* headers", () => {
  it("are there for the limits that apply, and for no others", () => {
    const requests = { limit: 60, remaining: 59, resetsAt: new Date(61_500) };
    expect(rateLimitHeaders({ requests, tokens: undefined }, 1_000)).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "59",
      "x-ratelimit-reset-requests": "1m0.5s",
    });
    expect(rateLimitHeaders({ requests: undefined, tokens: undefined }, 0)).toEqual({});
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
