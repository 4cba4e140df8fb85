import { describe, expect, it } from "vitest";
import type { Denial } from "./denial.ts";
import { limitExceeded } from "./refusal.ts";

const NOW_MS = Date.UTC(2026, 10, 30);
const DENIAL: Omit<Denial, "rule"> = {
  policyId: "p",
  policyName: "n",
  bindingId: "b",
  principalType: "api_key",
  principalId: "k",
  message: "no",
};
const refusalOf = (rule: string, waitSecs: number | undefined) => {
  const retryAt = waitSecs === undefined ? undefined : new Date(NOW_MS + waitSecs * 1_000);
  return limitExceeded({ ...DENIAL, rule, retryAt }, NOW_MS);
};

describe.each(["budget", "rate_limit.max_requests", "rate_limit.max_tokens"])("a refusal by %s", (rule) => {
  it.each([
    [1, true],
    [59, true],
    [60, false],
    [86_400, false],
    [undefined, false],
  ])("whose wait is %s s lets the SDKs try again: %s", (waitSecs, retryable) =>
    expect(refusalOf(rule, waitSecs).retryable).toBe(retryable),
  );
});
