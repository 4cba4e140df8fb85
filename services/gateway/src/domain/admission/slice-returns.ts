import { RateSlices } from "@routeplane/admission";
import type { HeldSession } from "./slice-calls.ts";

/** Time without a request after which the free part of a slice is given back. */
const IDLE_MS = 3_000;

/** Gives back slices that no request uses, and tells what was returned and is not known to the policy service yet. */
export function returnIdleSlices({ session, calls }: HeldSession, nowMs: number): void {
  for (const counter of session.counters) {
    const { slice, namespaceId, usedAtMs } = counter;
    if (slice.isGone) continue;
    if (slice instanceof RateSlices) {
      slice.expire(nowMs);
      if (slice.hasUnused) calls.tellReturns(counter, namespaceId);
    } else if (slice.free > 0 && nowMs - usedAtMs > IDLE_MS) calls.giveBack(counter);
    else if (counter.hasReturns) calls.tellReturns(counter, namespaceId);
  }
}
