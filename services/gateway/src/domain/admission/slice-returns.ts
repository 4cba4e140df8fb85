import { RateSlices } from "@routeplane/admission";
import type { HeldCounter } from "./gateway-session.ts";
import type { HeldSession } from "./slice-calls.ts";

/** Time without a request after which the free part of a slice is given back. */
const IDLE_MS = 3_000;
/**
 * Maximum of that time. For a counter with requests every few seconds it is twice the last pause, so that not each of them needs a call.
 */
const MAX_IDLE_MS = 30_000;
/** Share of the limit's remaining amount up to which a slice is kept that long: 1 / 64. If others need it, it is recalled. */
const SMALL_PARTS = 64;

/** Notes that a request uses the counter. */
export function noteUse(counter: HeldCounter, nowMs: number): void {
  const pauseMs = nowMs - counter.usedAtMs;
  if (pauseMs > IDLE_MS) counter.idleMs = pauseMs < MAX_IDLE_MS ? Math.min(2 * pauseMs, MAX_IDLE_MS) : IDLE_MS;
  counter.usedAtMs = nowMs;
}

/** Gives back unused slices, and reports returns that the policy service does not know yet. */
export function returnIdleSlices({ session, calls }: HeldSession, nowMs: number): void {
  for (const counter of session.counters) {
    const { slice, namespaceId } = counter;
    if (slice instanceof RateSlices) {
      slice.expire(nowMs);
      if (slice.hasUnused) calls.tellReturns(counter, namespaceId);
    } else if (slice.free > 0 && nowMs - counter.usedAtMs > idleMsOf(counter)) calls.giveBack(counter);
    else if (counter.hasReturns) calls.tellReturns(counter, namespaceId);
  }
}

function idleMsOf({ slice, idleMs }: HeldCounter): number {
  if (slice instanceof RateSlices) return IDLE_MS;
  return slice.free * SMALL_PARTS <= (slice.remaining ?? 0) ? Math.max(IDLE_MS, idleMs) : IDLE_MS;
}
