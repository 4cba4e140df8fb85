import { RateSlices } from "@routeplane/admission";
import { newId } from "@routeplane/domain";
import { expect, it } from "vitest";
import type { CounterGrant, CounterRequest } from "../ports/gateway-sessions.ts";
import { GatewaySession } from "./gateway-session.ts";
import { applyGrant, isRunningLow, needOf, NO_NEED, toCounterRequest } from "./slice-requests.ts";

const REQUEST = { nanoUsd: 0, tokens: 0 };
const SECONDS = 20;
const ANSWERED_AFTER_MS = 20;

/** Grant of a rate slice until the end of its bucket, or of the next one if the bucket is nearly over, as the policy service gives it. */
function grantOf({ needed, wanted }: CounterRequest, bucketMs: number, nowMs: number): CounterGrant {
  const leftMs = bucketMs - (nowMs % bucketMs);
  const validMs = leftMs < bucketMs / 4 ? leftMs + bucketMs : leftMs;
  const rate = { amount: needed + wanted, countedAtMs: nowMs + validMs, validMs };
  return { granted: 0, doubt: 0, rate, remaining: 1_000_000, resetsAtMs: 0 };
}

/** Uses a rate limit at a steady rate. @returns calls per second, and the share of the requests that waited for one */
function useSteadily(perSecond: number, bucketMs: number): { callsPerSecond: number; waited: number } {
  const limits = [{ bindingId: "bnd_1", dimension: "requests" as const, limit: 1_000_000, isShadow: false, terms: "" }];
  const session = new GatewaySession(newId("gws"), 0);
  const counter = session.setOf({ limits, isCentral: false, name: "a rate limit" }, newId("ns"))?.counters[0];
  if (!(counter?.slice instanceof RateSlices)) throw new Error("a rate limit has no rate slices");
  const { slice } = counter;
  let [calls, waited, waiting, requests] = [0, 0, 0, 0];
  let call: { readonly request: CounterRequest; readonly sentAtMs: number } | undefined;
  const send = (nowMs: number): void => {
    const need =
      waiting > 0
        ? needOf(
            counter,
            Array.from({ length: waiting }, () => REQUEST),
          )
        : NO_NEED;
    call = { request: toCounterRequest(counter, { ...need, perRequest: 1 }, nowMs), sentAtMs: nowMs };
    calls++;
  };
  for (let nowMs = 0; nowMs < SECONDS * 1_000; nowMs++) {
    if (call !== undefined && nowMs === call.sentAtMs + ANSWERED_AFTER_MS) {
      const grant = grantOf(call.request, bucketMs, call.sentAtMs);
      applyGrant([counter], [call.request], { granted: true, counters: [grant] }, call.sentAtMs, nowMs);
      call = undefined;
      for (; waiting > 0 && slice.find(1, nowMs) !== undefined; waiting--) slice.take(1, nowMs);
    }
    for (; requests < (nowMs * perSecond) / 1_000; requests++) {
      if (slice.find(1, nowMs) !== undefined) slice.take(1, nowMs);
      else [waiting, waited] = [waiting + 1, waited + 1];
    }
    if (call === undefined && (waiting > 0 || isRunningLow(counter, nowMs))) send(nowMs);
  }
  return { callsPerSecond: calls / SECONDS, waited: waited / requests };
}

it.each([
  { windowSecs: 10, perSecond: 100 },
  { windowSecs: 10, perSecond: 800 },
  { windowSecs: 60, perSecond: 800 },
  { windowSecs: 3_600, perSecond: 800 },
])("a window of $windowSecs s with $perSecond requests a second takes about a call for each slice", (limit) => {
  const bucketMs = Math.min(1_000, (limit.windowSecs * 1_000) / 100);
  const { callsPerSecond, waited } = useSteadily(limit.perSecond, bucketMs);
  expect(callsPerSecond).toBeLessThan((1.3 * 1_000) / bucketMs);
  expect(waited).toBeLessThan(0.02);
});
