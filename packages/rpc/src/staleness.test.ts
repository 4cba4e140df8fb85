import { expect, it } from "vitest";
import {
  CALL_TIMEOUT_MS,
  FEED_TIMEOUT_MS,
  MAX_STALE_MS,
  STALE_CHECK_INTERVAL_MS,
  STALENESS_BOUND_MS,
} from "./staleness.ts";

/** Part of the bound that is left for timers that fire late, and for the cancellation of a running request. */
const ALLOWANCE_MS = { newRequest: 500, runningRequest: 750 };

it("refuses a revoked credential to a new request within 5 s of the loss of the feed", () => {
  expect(STALENESS_BOUND_MS).toBe(5_000);
  expect(FEED_TIMEOUT_MS + CALL_TIMEOUT_MS + ALLOWANCE_MS.newRequest).toBeLessThanOrEqual(STALENESS_BOUND_MS);
});

it("cancels a running request of a revoked credential within 5 s of the loss of the feed", () => {
  const noticedMs = MAX_STALE_MS + STALE_CHECK_INTERVAL_MS;
  expect(noticedMs + ALLOWANCE_MS.runningRequest).toBeLessThanOrEqual(STALENESS_BOUND_MS);
});

it("leaves a call time to renew a stale result before it is given up", () => {
  expect(FEED_TIMEOUT_MS + STALE_CHECK_INTERVAL_MS).toBeLessThanOrEqual(MAX_STALE_MS - 1_000);
});
