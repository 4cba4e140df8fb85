import { describe, expect, it } from "vitest";
import { readRetryAfter, upstreamRetryAfter } from "./retry-after.ts";

const of = (headers: Readonly<Record<string, string>>) => upstreamRetryAfter((name) => headers[name]);

describe("the wait that an upstream's headers ask for", () => {
  it.each([
    [{ "retry-after": "7", "retry-after-ms": "9000" }, "7"],
    [{ "retry-after-ms": "1500" }, "2"],
    [{ "retry-after": "soon", "retry-after-ms": "1500" }, "2"],
    [{ "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", "retry-after-ms": "1500" }, "Thu, 01 Jan 1970 00:01:00 GMT"],
    [{ "retry-after": "9".repeat(9) }, "9".repeat(9)],
    [{ "retry-after": "9".repeat(10) }, "9".repeat(9)],
    [{ "retry-after": "9".repeat(40) }, "9".repeat(9)],
    [{ "retry-after-ms": "9".repeat(13) }, "9".repeat(9)],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after-ms": "soon" }, undefined],
    [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s" }, "63"],
    [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "86ms" }, "1"],
    [
      {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "6s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "2h0m5s",
      },
      "7205",
    ],
    [{ "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6s" }, undefined],
    [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "tomorrow" }, undefined],
    [{}, undefined],
  ])("of %j is %s", (headers, expected) => expect(of(headers)).toBe(expected));
});

it.each([
  ["7", 7_000],
  ["0.5", 500],
  ["Thu, 01 Jan 1970 00:01:00 GMT", 60_000],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["soon", undefined],
  ["-1", undefined],
  ["1e3", undefined],
])("a Retry-After of '%s' is %s ms", (header, expected) => expect(readRetryAfter(header, 0)).toBe(expected));
