import { create } from "@bufbuild/protobuf";
import { SimulatedKeySchema, SimulatePolicyResponseSchema } from "@routeplane/contracts/policy";
import { expect, test } from "vitest";
import { keyBars, percentOf, ruleTitle, simulationSentence } from "./simulated-keys.ts";

const key = (requestCount: bigint, refusedCount: bigint) => create(SimulatedKeySchema, { requestCount, refusedCount });

test("scales the bars of the keys to the key with the most requests", () => {
  expect(keyBars([key(40n, 10n), key(80n, 0n)]).map((bar) => [bar.refusedPercent, bar.admittedPercent])).toEqual([
    [12.5, 37.5],
    [0, 100],
  ]);
  expect(keyBars(Array.from({ length: 11 }, () => key(0n, 0n)))).toHaveLength(10);
});

test("computes shares of counts beyond 2^53", () => {
  expect([percentOf(9_007_199_254_740_993n, 9_007_199_254_740_993n), percentOf(2n, 3n), percentOf(1n, 0n)]).toEqual([
    100, 66.7, 0,
  ]);
});

test("summarises the result in a sentence", () => {
  const found = (requestCount: bigint, refusedCount: bigint) =>
    simulationSentence(create(SimulatePolicyResponseSchema, { requestCount, refusedCount }));
  const nearly = [found(1_000_000n, 1n), found(1_000_000n, 999_999n)];
  expect([found(0n, 0n), found(7n, 0n), found(8n, 1n), found(1n, 1n), ...nearly]).toEqual([
    "There were no requests to simulate.",
    "It would have refused none of these requests.",
    "It would have refused 1 of 8 requests (12.5 %).",
    "It would have refused 1 of 1 request (100 %).",
    "It would have refused 1 of 1,000,000 requests (under 0.1 %).",
    "It would have refused 999,999 of 1,000,000 requests (over 99.9 %).",
  ]);
});

test("puts rules into words, and shows unknown rules by name", () => {
  expect(["budget", "rate_limit.max_tokens", "toString"].map(ruleTitle)).toEqual([
    "Spend",
    "Tokens in the window",
    "toString",
  ]);
});
