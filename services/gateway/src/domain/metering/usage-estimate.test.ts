import { describe, expect, it } from "vitest";
import { type EstimatedRequest, estimateUsage, UNNOTICED_TOKENS, UNSEEN_TOKENS_PER_SECOND } from "./usage-estimate.ts";

const GRANTED = { inputTokensMax: 500, outputTokensMax: 10_000 };
const REQUEST: EstimatedRequest = { granted: GRANTED, choices: 1, streamed: true, unseenWorkMs: 0 };
const unknown = (tokens: number, isComplete = false) => ({ usage: undefined, delivered: { tokens, isComplete } });
const estimate = (tokens: number, more: Partial<EstimatedRequest> = {}, isComplete = false): number =>
  estimateUsage(unknown(tokens, isComplete), { ...REQUEST, ...more }).completionTokens;

describe("the estimated output of a stream that ended early", () => {
  it.each<[string, number, Partial<EstimatedRequest>, number]>([
    ["a few tokens", 5, {}, 5 + UNNOTICED_TOKENS],
    ["many tokens", 2_000, {}, 2_200],
    ["nothing", 0, {}, UNNOTICED_TOKENS],
    ["several choices", 5, { choices: 4 }, 5 + 4 * UNNOTICED_TOKENS],
    ["as much as was granted", 9_990, {}, 10_000],
    ["more than was granted", 20_000, {}, 10_000],
  ])("after %s has what was delivered and a margin, within the reservation", (_, tokens, more, expected) => {
    expect(estimate(tokens, more)).toBe(expected);
  });

  it("has the time of a long thought, though nothing was delivered", () => {
    const minute = estimate(0, { unseenWorkMs: 60_000 });
    expect(minute).toBe(66 * UNSEEN_TOKENS_PER_SECOND);
    expect(estimate(0, { unseenWorkMs: 60_000, choices: 2 })).toBe(GRANTED.outputTokensMax);
    expect(estimate(50, { unseenWorkMs: 60_000 })).toBeGreaterThan(minute);
    expect(estimate(0, { unseenWorkMs: 3_600_000 })).toBe(GRANTED.outputTokensMax);
  });
});

describe("the estimated output of a complete answer", () => {
  it("has no margin", () => {
    expect(estimate(40, {}, true)).toBe(40);
    expect(estimate(0, {}, true)).toBe(0);
  });

  it("is not more than its text where that took as long to write", () => {
    expect(estimate(400, { streamed: false, unseenWorkMs: 4_000 }, true)).toBe(400);
    expect(estimate(10, { streamed: false, unseenWorkMs: 4_000 }, true)).toBe(4 * UNSEEN_TOKENS_PER_SECOND);
  });
});

it("a whole answer that did not arrive is estimated at the reservation", () => {
  const nothing = estimateUsage({ usage: undefined }, { ...REQUEST, streamed: false });
  expect(nothing).toEqual({ promptTokens: 500, completionTokens: 10_000 });
  expect(estimateUsage({ usage: undefined }, REQUEST).completionTokens).toBe(UNNOTICED_TOKENS);
});

it("counts that the upstream reported are the least, and its input in place of the bound", () => {
  const reported = { promptTokens: 90, completionTokens: 12_000 };
  expect(estimateUsage({ ...unknown(5), reported }, REQUEST)).toEqual(reported);
  const early = { promptTokens: 90, completionTokens: 0 };
  expect(estimateUsage({ ...unknown(5), reported: early }, REQUEST)).toEqual({
    promptTokens: 90,
    completionTokens: 69,
  });
  const zeros = { promptTokens: 0, completionTokens: 0 };
  expect(estimateUsage({ ...unknown(5), reported: zeros }, REQUEST).promptTokens).toBe(500);
});
